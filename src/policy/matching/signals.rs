//! What conditions look at, read from a request once.

use std::{borrow::Cow, sync::Arc};

use super::{PhraseId, Phrases, framing, phrases::Found};
use crate::{
    chat::{Content, Part, Request, Role},
    policy::{Class, Headers, ModelFact},
};

/// A request as conditions see it.
pub(crate) struct Signals<'a> {
    pub(crate) request: &'a Request,
    pub(crate) headers: Headers<'a>,
    /// The model that conditions speak of: the requested one until the route is known.
    pub(crate) model: Option<&'a ModelFact>,
    /// Set after classification.
    pub(crate) class: Option<Class>,
    pub(crate) labels: Vec<Arc<str>>,
    pub(super) user_turns: usize,
    pub(super) turns: usize,
    pub(super) images: bool,
    pub(super) last_user: Cow<'a, str>,
    /// Whether the last user message introduces something that it quotes.
    pub(super) introduces: bool,
    pub(super) user: Found,
    pub(super) system: Found,
}

impl<'a> Signals<'a> {
    pub(crate) fn read(
        request: &'a Request,
        headers: Headers<'a>,
        model: Option<&'a ModelFact>,
        phrases: &Phrases,
    ) -> Self {
        let count = |role: Role| {
            request
                .messages
                .iter()
                .filter(|message| message.role == role)
                .count()
        };
        let last_user = request
            .messages
            .iter()
            .rfind(|message| message.role == Role::User);
        let last_user = last_user
            .map(|message| message.content.text())
            .unwrap_or_default();
        let (mut user, mut system) = (phrases.none(), phrases.none());
        phrases.find(&last_user, &mut user);
        for message in request
            .messages
            .iter()
            .filter(|message| message.role == Role::System)
        {
            phrases.find(&message.content.text(), &mut system);
        }
        Self {
            request,
            headers,
            model,
            class: None,
            labels: Vec::new(),
            user_turns: count(Role::User),
            turns: request.messages.len() - count(Role::System),
            images: has_images(request),
            introduces: framing::introduces(&last_user),
            last_user,
            user,
            system,
        }
    }

    /// Whether an upstream answers: all models of the engine are known.
    pub(super) fn upstream(&self) -> bool {
        self.model.is_none_or(|model| model.upstream.is_some())
    }

    /// Whether any message holds an image.
    pub(crate) fn images(&self) -> bool {
        self.images
    }

    /// Whether a phrase stands in the last user message, outside of quoted blocks.
    pub(crate) fn shows(&self, phrase: PhraseId) -> bool {
        self.user.shows(phrase)
    }
}

fn has_images(request: &Request) -> bool {
    request
        .messages
        .iter()
        .any(|message| match &message.content {
            Content::Text(_) => false,
            Content::Parts(parts) => parts.iter().any(|part| matches!(part, Part::Image(_))),
        })
}
