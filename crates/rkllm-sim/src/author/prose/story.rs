//! Stories.

use crate::author::{chance::Chance, words};

const SCENES: [&str; 8] = [
    "Every morning the fog lay over the harbour like a blanket, and only the cries of the gulls came through it.",
    "Nobody in the village believed that {} would ever matter, least of all the old ferryman Émile.",
    "Then, one evening, a light appeared where no light had ever been.",
    "“We should go and look,” said Mira, and because nobody had a better idea, they went.",
    "The path was longer than they had thought. Twice they lost it, and twice a small brown dog found it again.",
    "At the top they found a door, half open, and behind it a room full of clocks that all showed a different time.",
    "“It is about {},” whispered the ferryman. “It always was.”",
    "They sat down, wound up the first clock, and waited.",
];

/// A story with the question's subject in it.
pub(super) fn tell(question: &str, long: bool, chance: &Chance) -> String {
    let subject: Vec<String> = words::content_words(question)
        .into_iter()
        .filter(|word| !matches!(word.as_str(), "story" | "upon" | "geschichte" | "once"))
        .take(3)
        .collect();
    let subject = if subject.is_empty() {
        "the sea".to_owned()
    } else {
        subject.join(" ")
    };
    let name = chance.pick("name", &["Anselm", "Ida", "Jonas", "Wanda"]);
    let scenes = if long { SCENES.len() } else { 5 };
    let told: Vec<String> = SCENES
        .iter()
        .take(scenes)
        .map(|scene| scene.replace("{}", &subject))
        .collect();
    format!(
        "Once upon a time, on a small island in the north, there lived a child called {name} who thought of nothing but {subject}.\n\n\
         {}\n\nAnd when the sun came up, {name} finally understood, and smiled. ✨",
        told.join("\n\n")
    )
}
