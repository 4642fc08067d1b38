//! What a run reads.

use crate::capabilities::Unsupported;

/// What a run reads.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// Text, which the model's own chat template is put around. Special tokens spelled in it become real ones.
    Prompt {
        /// The text.
        text: &'a str,
        /// How the template treats it.
        turn: Turn,
    },
    /// Token ids as they are: no template, no begin token.
    Tokens(&'a [i32]),
    /// Embeddings as they are.
    Embed {
        /// `n_tokens` rows of the model's embedding size.
        values: &'a [f32],
        /// Rows, 1 and above.
        n_tokens: usize,
    },
    /// Text with images or videos.
    MultiModal(MultiModal<'a>),
}

/// How the model's own chat template treats a prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// Whether the model may think first; `None` where that is no question (the template then leaves no room).
    pub enable_thinking: Option<bool>,
}

/// Who speaks in a prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Role {
    /// The user.
    #[default]
    User,
    /// A tool; the text is a JSON array of results.
    Tool,
}

/// Text with images or videos, which an encoder has turned into embeddings.
#[derive(Debug, Clone, Copy)]
pub struct MultiModal<'a> {
    /// The text, with one `<image>` for each image and one `<video>` for each video.
    pub prompt: &'a str,
    /// How the template treats it.
    pub turn: Turn,
    /// The images.
    pub images: Option<Images<'a>>,
    /// The videos.
    pub videos: Option<Videos<'a>>,
}

/// Images of an input.
#[derive(Debug, Clone, Copy)]
pub struct Images<'a> {
    /// `n_image` times `n_image_tokens` rows of the model's embedding size.
    pub embed: &'a [f32],
    /// Images, 1 and above.
    pub n_image: usize,
    /// Tokens of an image, 1 and above.
    pub n_image_tokens: usize,
    /// Width that the encoder worked at, in pixels.
    pub width: usize,
    /// Height that the encoder worked at, in pixels.
    pub height: usize,
}

/// Videos of an input.
#[derive(Debug, Clone, Copy)]
pub struct Videos<'a> {
    /// `n_video` times `n_frame_per_video` times `n_frame_tokens` rows of the model's embedding size.
    pub embed: &'a [f32],
    /// Videos, 1 and above.
    pub n_video: usize,
    /// Frames of a video, 1 and above.
    pub n_frame_per_video: usize,
    /// Tokens of a frame, 1 and above.
    pub n_frame_tokens: usize,
    /// Width that the encoder worked at, in pixels.
    pub width: usize,
    /// Height that the encoder worked at, in pixels.
    pub height: usize,
}

/// An input that no runtime could read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// There is nothing to read.
    #[error("the input is empty")]
    Empty,
    /// A text with a NUL byte, which C cannot hold.
    #[error("{0} must not contain a NUL byte")]
    Nul(&'static str),
    /// Embeddings that do not divide into rows.
    #[error("{values} values are no {rows} rows of one length")]
    Rows {
        /// Values given.
        values: usize,
        /// Rows stated.
        rows: usize,
    },
    /// As many tags in the text as images or videos are needed.
    #[error("the prompt has {found} {tag} tags for {wanted} of them")]
    Tags {
        /// The tag.
        tag: &'static str,
        /// Tags in the text.
        found: usize,
        /// Images or videos given.
        wanted: usize,
    },
}

/// Why an input is refused.
pub(crate) enum Refusal {
    Input(InputError),
    Unsupported(Unsupported),
}

impl From<InputError> for Refusal {
    fn from(error: InputError) -> Self {
        Self::Input(error)
    }
}

impl From<Unsupported> for Refusal {
    fn from(error: Unsupported) -> Self {
        Self::Unsupported(error)
    }
}

impl Input<'_> {
    /// Refuses what would be read out of bounds or misunderstood.
    pub(crate) fn check(&self, abi: crate::Abi) -> Result<(), Refusal> {
        match self {
            Self::Prompt { text, turn } => {
                turn.check(abi)?;
                if text.is_empty() {
                    Err(InputError::Empty.into())
                } else {
                    Ok(())
                }
            }
            Self::Tokens([]) => Err(InputError::Empty.into()),
            Self::Tokens(_) => Ok(()),
            Self::Embed { values, n_tokens } => Ok(rows(values, &[*n_tokens])?),
            Self::MultiModal(input) => input.check(abi),
        }
    }
}

impl Turn {
    fn check(self, abi: crate::Abi) -> Result<(), Unsupported> {
        let capabilities = abi.capabilities();
        abi.require(
            capabilities.role || self.role == Role::User,
            "read a tool's result as a prompt",
        )?;
        abi.require(
            capabilities.enable_thinking || self.enable_thinking.is_none(),
            "switch thinking on or off",
        )
    }
}

impl MultiModal<'_> {
    fn check(&self, abi: crate::Abi) -> Result<(), Refusal> {
        self.turn.check(abi)?;
        let capabilities = abi.capabilities();
        if self.images.is_none() && self.videos.is_none() {
            return Err(InputError::Empty.into());
        }
        if let Some(images) = &self.images {
            abi.require(
                capabilities.several_images || images.n_image == 1,
                "read several images",
            )?;
            rows(images.embed, &[images.n_image, images.n_image_tokens])?;
        }
        if let Some(videos) = &self.videos {
            abi.require(capabilities.video, "read a video")?;
            rows(
                videos.embed,
                &[
                    videos.n_video,
                    videos.n_frame_per_video,
                    videos.n_frame_tokens,
                ],
            )?;
        }
        tags(
            self.prompt,
            "<image>",
            self.images.map_or(0, |images| images.n_image),
        )?;
        tags(
            self.prompt,
            "<video>",
            self.videos.map_or(0, |videos| videos.n_video),
        )?;
        Ok(())
    }
}

fn rows(values: &[f32], counts: &[usize]) -> Result<(), InputError> {
    let rows = counts
        .iter()
        .try_fold(1_usize, |product, count| product.checked_mul(*count))
        .unwrap_or(usize::MAX);
    if rows == 0 || values.is_empty() {
        return Err(InputError::Empty);
    }
    if values.len().is_multiple_of(rows) {
        Ok(())
    } else {
        Err(InputError::Rows {
            values: values.len(),
            rows,
        })
    }
}

fn tags(prompt: &str, tag: &'static str, wanted: usize) -> Result<(), InputError> {
    let found = prompt.matches(tag).count();
    // Without images the word is text like any other.
    if wanted == 0 || found == wanted {
        Ok(())
    } else {
        Err(InputError::Tags { tag, found, wanted })
    }
}
