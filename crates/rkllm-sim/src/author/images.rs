//! Pictures: a model that reads them describes one, the others say that they cannot.

use super::{answer::Answer, chance::Chance, conversation::Conversation};
use crate::Family;

pub(crate) fn answer(conversation: &Conversation, chance: &Chance) -> Option<Answer> {
    let question = conversation.question().to_lowercase();
    let asks = [
        "this picture",
        "this image",
        "the picture",
        "the image",
        "this photo",
        "the photo",
    ];
    let about_picture = asks.iter().any(|cue| question.contains(cue));
    let seen =
        conversation.images > 0 || conversation.last_user().contains("content_type=\"image/");
    if !seen && !about_picture {
        return None;
    }
    if conversation.family != Family::Qwen3Vl || conversation.images == 0 {
        return (about_picture || conversation.images > 0).then(|| {
            Answer::prose("I cannot see pictures, only text. If you describe what is in it, I will gladly help with the rest.")
        });
    }
    let colours = chance.shuffled(
        "colours",
        &["red", "blue", "green", "yellow", "white", "grey", "orange"],
    );
    let (Some(first), Some(second), Some(third)) =
        (colours.first(), colours.get(1), colours.get(2))
    else {
        return None;
    };
    let shape = chance.pick(
        "shape",
        &[
            "a simple geometric shape",
            "a small square figure",
            "a plain, flat area",
        ],
    );
    let colour_statement =
        format!("The dominant colours are **{first}** and **{second}**, with a little {third}");
    Some(Answer::prose(if question.contains("colo") {
        format!("{colour_statement}. The colours are flat, without visible gradients.")
    } else {
        format!(
            "The picture shows {shape} in the centre. {colour_statement} towards the edges.\n\n\
             There is no text in it, and the background is even and uncluttered."
        )
    }))
}
