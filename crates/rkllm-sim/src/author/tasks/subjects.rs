//! Short texts about a chat's subject: title, tags, follow-ups, search queries, the prompt of a picture.

use super::history::History;
use crate::author::{chance::Chance, language::Language, words};

/// The subject in up to `most` words: of the first question that has one.
fn subject(history: &History, most: usize) -> String {
    let questions = history
        .said
        .iter()
        .filter(|(person, _)| *person)
        .map(|(_, text)| words::topic(text, most));
    questions
        .into_iter()
        .find(|topic| !topic.is_empty())
        .unwrap_or_default()
}

pub(super) fn title(history: &History, instructions: &str, chance: &Chance) -> String {
    let language = Language::of(history.first_question());
    let subject = words::title_case(&subject(history, 3));
    let plain = match (language, subject.split_whitespace().count()) {
        (_, 0) => "Friendly Greeting".to_owned(),
        (Language::English, 1 | 2) => format!(
            "{subject} {}",
            chance.pick("title", &["Explained", "Basics", "Overview"])
        ),
        (Language::German, 1) => format!("{subject} im Überblick"),
        _ => subject,
    };
    let lower = instructions.to_lowercase();
    let emoji = lower.contains("with an emoji")
        || lower.contains("with one fitting emoji")
        || lower.contains("emojis that enhance");
    if emoji {
        format!(
            "{} {plain}",
            chance.pick("title emoji", &["💡", "📚", "🔍", "🌍"])
        )
    } else {
        plain
    }
}

/// Broad fields and words that speak for them.
const FIELDS: [(&str, &str); 9] = [
    (
        "Technology",
        "computer proxy server network python rust code program software file api model npu board linux web database docker json",
    ),
    (
        "Science",
        "physics heat pump energy light atom chemistry biology planet moon star water rainbow photosynthesis cell",
    ),
    (
        "Geography",
        "island lighthouse country city river sea ocean map mountain mayor capital",
    ),
    (
        "Health",
        "health sleep doctor diet exercise medicine pain stress",
    ),
    (
        "Food",
        "recipe cook bake bread coffee tea cake dinner cheese pasta",
    ),
    (
        "Mathematics",
        "number sum count equation calculate algebra prime add",
    ),
    (
        "Arts",
        "picture paint draw music song poem story film fox novel colour color",
    ),
    (
        "Business",
        "money market company price stock invoice budget job",
    ),
    ("Travel", "travel trip flight hotel holiday train weather"),
];

pub(super) fn tags(history: &History) -> Vec<String> {
    let text: Vec<&str> = history.said.iter().map(|(_, text)| text.as_str()).collect();
    let found = words::content_words(&text.join("\n"));
    let field = FIELDS.iter().map(|(field, cues)| {
        let cues: Vec<String> = cues.split_whitespace().map(str::to_owned).collect();
        (words::overlap(&found, &cues), *field)
    });
    // The first of equally good fields.
    let best = field.fold(
        (0, "General"),
        |best, next| if next.0 > best.0 { next } else { best },
    );
    let mut tags = vec![best.1.to_owned()];
    let subject = words::title_case(&subject(history, 2));
    if !subject.is_empty() && best.0 > 0 {
        tags.push(subject);
    }
    tags
}

pub(super) fn follow_ups(history: &History, chance: &Chance) -> Vec<String> {
    let topic = Some(words::topic(history.last_question(), 3)).filter(|topic| !topic.is_empty());
    let topic = topic.unwrap_or_else(|| subject(history, 3));
    let fill = |forms: &[&str]| -> Vec<String> {
        chance
            .shuffled("follow-ups", forms)
            .into_iter()
            .take(3)
            .map(|form| form.replace("{}", &topic))
            .collect()
    };
    match (Language::of(history.last_question()), topic.is_empty()) {
        (Language::German, false) => fill(&[
            "Kannst du ein Beispiel zu {} geben?",
            "Was sind die Vorteile von {}?",
            "Was sollte ich bei {} beachten?",
            "Fasse {} in einem Satz zusammen.",
        ]),
        (Language::French, false) => fill(&[
            "Peux-tu donner un exemple de {} ?",
            "Quels sont les avantages de {} ?",
            "Résume {} en une phrase.",
        ]),
        (Language::Spanish, false) => fill(&[
            "¿Puedes dar un ejemplo de {}?",
            "¿Cuáles son las ventajas de {}?",
            "Resume {} en una frase.",
        ]),
        (_, false) => fill(&[
            "Can you give a concrete example of {}?",
            "What are the main advantages of {}?",
            "What should I watch out for with {}?",
            "How does {} compare with the alternatives?",
            "Summarise {} in one sentence.",
        ]),
        (_, true) => [
            "What can you help me with?",
            "Tell me something interesting.",
            "Help me plan my day.",
        ]
        .map(str::to_owned)
        .to_vec(),
    }
}

pub(super) fn queries(history: &History) -> Vec<String> {
    let last = words::topic(history.last_question(), 6);
    // A short question such as "And in winter?" leans on the one before.
    let leaning = last.split_whitespace().count() < 2 && history.said.len() > 1;
    let first = if leaning {
        words::topic(history.first_question(), 4)
    } else {
        String::new()
    };
    let query = format!("{first} {last}").trim().to_owned();
    if query.is_empty() {
        return Vec::new();
    }
    vec![query.clone(), format!("{query} overview")]
}

pub(super) fn image_prompt(history: &History, chance: &Chance) -> String {
    let wanted = words::pictured(history.last_question());
    let light = chance.pick(
        "light",
        &["soft morning light", "warm evening light", "clear daylight"],
    );
    let place = chance.pick(
        "place",
        &[
            "a calm, uncluttered background",
            "a blurred natural setting",
            "a plain pale background",
        ],
    );
    format!(
        "A detailed image of {wanted}, in the centre of the frame, in {light}, with {place}, fine textures and natural colours."
    )
}
