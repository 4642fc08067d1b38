//! What a run reads, as tokens.

use thiserror::Error;

use crate::{
    Family,
    features::fingerprint,
    session::Session,
    template::{Role, Template, Turn},
};

/// One input of a run.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    Prompt {
        text: String,
        role: Role,
        enable_thinking: bool,
    },
    Tokens(Vec<i32>),
    /// Rows of the model's embedding width.
    Embedding(Vec<f32>),
    Multimodal {
        text: String,
        role: Role,
        enable_thinking: bool,
        media: Box<Media>,
    },
}

/// Images and videos of an input. A video is its frames.
#[derive(Debug, Clone, Default)]
pub(crate) struct Media {
    pub(crate) images: Frames,
    pub(crate) videos: Frames,
    /// Whether the runtime knows the `<video>` tag.
    pub(crate) knows_video: bool,
}

/// Encoded pictures for the tags of one kind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frames {
    /// Embedding rows, all pictures one after the other.
    pub(crate) embedding: Vec<f32>,
    /// Rows of one tag's picture or frames.
    pub(crate) tokens: usize,
    /// How many tags there should be.
    pub(crate) count: usize,
    pub(crate) start: String,
    pub(crate) end: String,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

/// An input as the cache holds it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Encoded {
    pub(crate) ids: Vec<i32>,
    /// How many of the first ids are the template's system part.
    pub(crate) system: usize,
}

/// Why an input cannot be read; the texts are those of the real library.
#[derive(Debug, Error, PartialEq)]
pub(crate) enum InputError {
    #[error(
        "multimodal input must contain the <image> tag, for plain text input, please use prompt_input"
    )]
    NoTag,
    #[error("The n_image/n_image_token of multimodal_input is not set")]
    NotSet,
    #[error("The image_embed of multimodal_input is empty")]
    Empty,
    #[error(
        "the number of tags in the prompt ({tags}) is not the number of images or videos ({count})"
    )]
    Count { tags: usize, count: usize },
    #[error("patch_h[{height}] * patch_w[{width}] != n_image_token[{tokens}]!")]
    Patches {
        height: usize,
        width: usize,
        tokens: usize,
    },
}

/// Pixels that one token of Qwen3-VL stands for, each way.
const PATCH: usize = 32;

impl Input {
    /// Tokenises. `first` says that the cache is empty, so that the template's system part is due.
    pub(crate) fn encode(
        &self,
        session: &Session,
        template: &Template,
        first: bool,
    ) -> Result<Encoded, InputError> {
        match self {
            Self::Tokens(ids) => Ok(Encoded {
                ids: ids.clone(),
                system: 0,
            }),
            Self::Embedding(values) => Ok(Encoded {
                ids: rows(values, session.model.header.embd_size),
                system: 0,
            }),
            Self::Prompt {
                text,
                role,
                enable_thinking,
            } => {
                let turn = Turn {
                    text,
                    role: *role,
                    enable_thinking: *enable_thinking,
                    first,
                };
                let (system, rest) = template.render(session.model.header.family, turn);
                session.console.detail(
                    2,
                    format_args!("prompt text: {:?}", format!("{system}{rest}")),
                );
                let mut ids = session.vocabulary.encode(&system);
                let system = ids.len();
                ids.extend(session.vocabulary.encode(&rest));
                Ok(Encoded { ids, system })
            }
            Self::Multimodal {
                text,
                role,
                enable_thinking,
                media,
            } => {
                media.check(text, session.model.header.family)?;
                let turn = Turn {
                    text,
                    role: *role,
                    enable_thinking: *enable_thinking,
                    first,
                };
                let (system, rest) = template.render(session.model.header.family, turn);
                let mut ids = session.vocabulary.encode(&system);
                let system = ids.len();
                media.encode(session, &rest, &mut ids);
                Ok(Encoded { ids, system })
            }
        }
    }

    pub(crate) fn is_embedding(&self) -> bool {
        matches!(self, Self::Embedding(_))
    }
}

impl Media {
    fn check(&self, text: &str, family: Family) -> Result<(), InputError> {
        let videos = if self.knows_video {
            text.matches("<video>").count()
        } else {
            0
        };
        let images = text.matches("<image>").count();
        if images + videos == 0 {
            return Err(InputError::NoTag);
        }
        for (tags, frames) in [(images, &self.images), (videos, &self.videos)] {
            if tags > 0 {
                frames.check(tags, family)?;
            }
        }
        Ok(())
    }

    /// Puts the picture rows in the places of the tags.
    fn encode(&self, session: &Session, text: &str, ids: &mut Vec<i32>) {
        let mut rest = text;
        let mut seen = [0, 0];
        while let Some((at, kind)) = self.next_tag(rest) {
            let (before, after) = rest.split_at(at);
            let frames = if kind == 0 {
                &self.images
            } else {
                &self.videos
            };
            ids.extend(
                session
                    .vocabulary
                    .encode(&format!("{before}{}", frames.start)),
            );
            ids.extend(frames.rows(seen[kind], session.model.header.embd_size));
            seen[kind] += 1;
            let (_, after) = after.split_at("<image>".len());
            rest = after;
            ids.extend(session.vocabulary.encode(&frames.end));
        }
        ids.extend(session.vocabulary.encode(rest));
    }

    /// Where the next tag is: 0 an image, 1 a video.
    fn next_tag(&self, text: &str) -> Option<(usize, usize)> {
        let image = text.find("<image>").map(|at| (at, 0));
        let video = if self.knows_video {
            text.find("<video>").map(|at| (at, 1))
        } else {
            None
        };
        image.into_iter().chain(video).min()
    }
}

impl Frames {
    fn check(&self, tags: usize, family: Family) -> Result<(), InputError> {
        if self.count == 0 || self.tokens == 0 {
            return Err(InputError::NotSet);
        }
        if self.embedding.is_empty() {
            return Err(InputError::Empty);
        }
        if tags != self.count {
            return Err(InputError::Count {
                tags,
                count: self.count,
            });
        }
        let (height, width) = (self.height / PATCH, self.width / PATCH);
        if family == Family::Qwen3Vl
            && height * width > 0
            && !self.tokens.is_multiple_of(height * width)
        {
            return Err(InputError::Patches {
                height,
                width,
                tokens: self.tokens,
            });
        }
        Ok(())
    }

    fn rows(&self, index: usize, width: usize) -> Vec<i32> {
        rows(&self.embedding, width)
            .into_iter()
            .skip(index * self.tokens)
            .take(self.tokens)
            .collect()
    }
}

fn rows(values: &[f32], width: usize) -> Vec<i32> {
    values.chunks(width.max(1)).map(fingerprint).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(count: usize) -> Media {
        let images = Frames {
            embedding: vec![0.5; 4],
            tokens: 4,
            count,
            width: 64,
            height: 64,
            ..Frames::default()
        };
        Media {
            images,
            ..Media::default()
        }
    }

    #[test]
    fn pictures_must_match_their_tags() {
        let check = |text, media: Media| {
            media
                .check(text, Family::Qwen3Vl)
                .map_err(|error| error.to_string())
        };
        assert_eq!(check("<image> what is it?", media(1)), Ok(()));
        assert!(
            check("what is it?", media(1))
                .unwrap_err()
                .contains("must contain the <image> tag")
        );
        assert!(check("<video>", media(1)).is_err());
        assert!(
            check("<image>", media(0))
                .unwrap_err()
                .contains("is not set")
        );
        assert!(
            check("<image><image>", media(1))
                .unwrap_err()
                .contains("(2)")
        );
        let mut empty = media(1);
        empty.images.embedding.clear();
        assert!(check("<image>", empty).unwrap_err().contains("is empty"));
        let mut patches = media(1);
        patches.images.width = 96;
        assert_eq!(
            check("<image>", patches).unwrap_err(),
            "patch_h[2] * patch_w[3] != n_image_token[4]!"
        );
    }
}
