//! Answers from retrieved text: the sentence that fits the question best, with its source.

use super::{answer::Answer, chance::Chance, conversation::Conversation, words};

/// A sentence of a source.
struct Passage<'a> {
    source: Option<&'a str>,
    text: &'a str,
    words: Vec<String>,
}

/// Answers from retrieved text if there is any.
pub(crate) fn answer(conversation: &Conversation, chance: &Chance) -> Option<Answer> {
    let question = conversation.question();
    let places = [conversation.last_user(), &conversation.system];
    let passages = match places.into_iter().find(|text| text.contains("</context>")) {
        Some(place) => {
            let retrieved = retrieved(place)?;
            if retrieved.contains("created by the system") {
                let subject = words::pictured(&question);
                return Some(Answer::prose(format!(
                    "Here is the image you asked for: {subject}. I hope you like it! 🎨"
                )));
            }
            passages(retrieved)
        }
        None => numbered_passages(numbered(conversation.last_user())?.0),
    };
    let best = best(&passages, &question, &conversation.previous_question());
    let Some(best) = best else {
        return Some(Answer::prose(
            "The given context does not say anything about that, so I cannot answer from it.",
        ));
    };
    let cited = best
        .source
        .map_or_else(String::new, |id| format!(" [{id}]"));
    let said = best.text.trim_end_matches('.');
    Some(Answer::prose(match chance.below("context", 3) {
        0 => format!("According to the source, {said}{cited}."),
        1 => format!("{said}{cited}."),
        _ => format!("The context answers this: {said}{cited}."),
    }))
}

/// What stands between the last pair of `<context>` tags. The instructions before it may name the tags too.
fn retrieved(text: &str) -> Option<&str> {
    let before = text.get(..text.rfind("</context>")?)?;
    let start = before
        .find("<context>\n")
        .or_else(|| before.rfind("<context>"))?;
    before.get(start + "<context>".len()..)
}

/// Sources in short: an instruction that speaks of sources, blocks that begin with `[1] name`, then the question. The
/// blocks and the question.
pub(super) fn numbered(text: &str) -> Option<(&str, &str)> {
    let start = text.find("\n\n[1]")?;
    let (instruction, rest) = text.split_at_checked(start)?;
    let (sources, question) = rest.rsplit_once("\n\n")?;
    let told = instruction.to_lowercase().contains("source");
    (told && !sources.is_empty()).then_some((sources, question))
}

fn numbered_passages(sources: &str) -> Vec<Passage<'_>> {
    let mut found = Vec::new();
    for block in sources.split("\n\n[").filter(|block| !block.is_empty()) {
        let (head, text) = block.split_once('\n').unwrap_or((block, ""));
        let source = head.split_once(']').map(|(id, _)| id);
        found.extend(words::sentences(text).into_iter().map(|text| Passage {
            source,
            text,
            words: words::content_words(text),
        }));
    }
    found
}

fn passages(retrieved: &str) -> Vec<Passage<'_>> {
    let mut found = Vec::new();
    let mut sources = retrieved.split("<source").peekable();
    if sources.peek().is_some_and(|first| first.trim().is_empty()) {
        sources.next();
    }
    for part in sources {
        let (attributes, text) = match part.split_once('>') {
            Some((attributes, text)) if retrieved.contains("<source") => (attributes, text),
            _ => ("", part),
        };
        let source = attributes
            .split_once("id=\"")
            .and_then(|(_, rest)| rest.split('"').next());
        let text = text.split("</source>").next().unwrap_or_default();
        found.extend(words::sentences(text).into_iter().map(|text| Passage {
            source,
            text,
            words: words::content_words(text),
        }));
    }
    found
}

/// The passage with most of the question in it; words that are rare among the passages count more, a number that
/// the question names counts most, and the question before helps a short one.
fn best<'p, 'a>(
    passages: &'p [Passage<'a>],
    question: &str,
    previous: &str,
) -> Option<&'p Passage<'a>> {
    let wanted = words::content_words(question);
    let helping = if wanted.len() < 4 {
        words::content_words(previous)
    } else {
        Vec::new()
    };
    let holds = |passage: &Passage<'_>, word: &String| {
        passage.words.iter().any(|other| words::alike(word, other))
    };
    let weight = |word: &String| {
        let holders = passages
            .iter()
            .filter(|passage| holds(passage, word))
            .count();
        let rarity = 1.0 / (1.0 + holders as f64).sqrt();
        if is_number(word) {
            3.0 + rarity
        } else {
            1.0 + rarity
        }
    };
    let weights: Vec<(&String, f64)> = wanted.iter().map(|word| (word, weight(word))).collect();
    let helping: Vec<(&String, f64)> = helping
        .iter()
        .filter(|word| !is_number(word))
        .map(|word| (word, weight(word) / 2.0))
        .collect();
    let score = |passage: &Passage<'_>| -> f64 {
        let all = weights.iter().chain(&helping);
        let sum: f64 = all
            .filter(|(word, _)| holds(passage, word))
            .map(|(_, weight)| weight)
            .sum();
        // Of equally fitting passages the shorter one answers more to the point.
        sum - passage.words.len() as f64 / 1000.0
    };
    // A passage about another number than the one that is asked for is no answer, however alike it is otherwise.
    let numbers: Vec<&String> = wanted.iter().filter(|word| is_number(word)).collect();
    let fits = |passage: &Passage<'_>| {
        numbers.is_empty() || numbers.iter().any(|number| holds(passage, number))
    };
    let scored = passages
        .iter()
        .filter(|passage| fits(passage))
        .map(|passage| (score(passage), passage));
    let best = scored.fold(None, |best: Option<(f64, &Passage<'_>)>, next| match best {
        Some(best) if best.0 >= next.0 => Some(best),
        _ => (next.0 > 0.5).then_some(next),
    });
    let found = best.map(|(_, passage)| passage);
    // A client that retrieves a line or two, such as what a tool gave, means these.
    found.or_else(|| passages.first().filter(|_| passages.len() <= 2))
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> String {
        let facts: Vec<String> = (1..=60)
            .map(|n| {
                format!(
                    "Fact {n}: Island number {n} has {} lighthouses and a mayor called Number{n}.",
                    n * 7
                )
            })
            .collect();
        format!(
            "<context>\n<source id=\"1\" name=\"facts.txt\">{}</source>\n</context>\n\n",
            facts.join("\n")
        )
    }

    fn found(context: &str, question: &str, previous: &str) -> String {
        let passages = passages(retrieved(context).unwrap());
        best(&passages, question, previous)
            .map(|passage| format!("{:?} {}", passage.source, passage.text))
            .unwrap_or_default()
    }

    #[test]
    fn figures_are_found_by_the_number_that_is_asked_for() {
        let facts = facts();
        assert_eq!(found(&facts, "How many lighthouses has island 99?", ""), "");
        assert!(
            found(&facts, "How many lighthouses has island 12?", "").contains("has 84 lighthouses")
        );
        assert!(
            found(
                &facts,
                "And island 13?",
                "How many lighthouses has island 12?"
            )
            .contains("has 91 lighthouses")
        );
    }

    #[test]
    fn the_source_is_the_one_that_holds_the_sentence() {
        let context = "<context>\n<source id=\"1\" name=\"a\">Page two says proxies sit between clients and servers.</source>\n\
                       <source id=\"2\" name=\"a\">Page one says the moon is made of recorded cheese.</source>\n</context>";
        assert_eq!(
            found(context, "What does page one say about the moon?", ""),
            "Some(\"2\") Page one says the moon is made of recorded cheese."
        );
    }

    #[test]
    fn context_without_sources_is_one_text() {
        assert_eq!(
            found(
                "<context>\nThe sky is green.\n</context>",
                "Which colour is the sky?",
                ""
            ),
            "None The sky is green."
        );
        assert_eq!(
            found(
                "<context>\nThe sky is green. The sea is red. The sun is blue.\n</context>",
                "Who wrote Faust?",
                ""
            ),
            ""
        );
    }

    #[test]
    fn numbered_sources_are_told_apart_from_the_question() {
        let prompt = "Answer based on these sources and cite them like [1].\n\n[1] a.txt\nThe sky is green. The sea is red.\n\n\
                      [2] b.txt\nThe moon is made of cheese.\n\nWhat is the moon made of?";
        let (sources, question) = numbered(prompt).unwrap();
        assert_eq!(question, "What is the moon made of?");
        let passages = numbered_passages(sources);
        let best = best(&passages, question, "").unwrap();
        assert_eq!(
            (best.source, best.text),
            (Some("2"), "The moon is made of cheese.")
        );
        assert!(numbered("A list:\n\n[1] one\n\nWhat now?").is_none());
    }
}
