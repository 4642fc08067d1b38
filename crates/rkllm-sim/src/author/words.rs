//! Words of a text: which carry its subject, and how alike two of them are.

use std::{collections::HashSet, sync::LazyLock};

/// Words that say nothing about the subject of a text.
const STOP: &str = "a about above across after again all also am an and any anyone anything are as ask at be because been \
    before being below between both but by can could describe detail detailed details did do does doing down each \
    easy explain few find first following for from further get give go good great had has have having hello help her \
    here hers hi him his how i idea if in into is it its just kind know last less let like list little long made make many may \
    me mean might more most much must my name need new next nice no nor not nothing now of off ok okay on once one \
    only or other our out over own per please put question quick really right said same say says see sentence she \
    short should show simple simply so some someone something sort still such sure take talk tell than thank thanks \
    that the their them then there these they thing things think this those three through time to today too two \
    under until up us use used using very want was way we well were what whats when where whether which while who \
    whom why will with within without word words work works would write yes yet you your \
    aber als am an auch auf aus bei bin bitte das dass dem den der des die du ein eine einem einen einer er es \
    etwas für funktioniert hat ich im in ist ja kann kannst mir mit nach nicht noch oder sich sie sind so und uns vom von wann \
    warum was welche wer wie wir wo zu zum zur \
    au aux avec ce cela ces cette comment dans fonctionne de des du elle en est et il je la le les leur lui mais me moi ne nous \
    on ou par pas peux plus pour pourquoi quand que quel quelle qui sa se ses son sont sur te tu un une vous \
    cómo con funciona cuál cuándo cuántos de del donde dónde el ella en es esta este la las lo los más me mi muy no o para \
    pero por porque puede qué que quién se si sin sobre son su sus tu un una y";

/// Whether `word` (lower case) says nothing about a subject.
pub(crate) fn is_stop(word: &str) -> bool {
    static WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| STOP.split_whitespace().collect());
    WORDS.contains(word)
}

/// Words of `text` in order: letters and digits, joined by hyphens and apostrophes inside.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && !matches!(c, '\'' | '-' | '_'))
        .map(|word| word.trim_matches(['\'', '-', '_']))
        .filter(|word| !word.is_empty())
}

/// Words of `text` that carry its subject, in lower case, each once, in order.
pub(crate) fn content_words(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for word in words(text) {
        let word = word.to_lowercase();
        let word = word.strip_suffix("'s").unwrap_or(&word).to_owned();
        let short = word.chars().count() < 2
            && word.is_ascii()
            && !word.bytes().all(|b| b.is_ascii_digit());
        if !short && !is_stop(&word) && !found.contains(&word) {
            found.push(word);
        }
    }
    found
}

/// Whether two words (lower case) are forms of one: equal, or alike but for an ending.
pub(crate) fn alike(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    if a.bytes().chain(b.bytes()).any(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    let stem = short.strip_suffix(['s', 'e', 'y']).unwrap_or(short);
    stem.chars().count() >= 3 && long.len() <= short.len() + 4 && long.starts_with(stem)
}

/// How many of `wanted` occur in `words`, in some form.
pub(crate) fn overlap(wanted: &[String], words: &[String]) -> usize {
    wanted
        .iter()
        .filter(|word| words.iter().any(|other| alike(word, other)))
        .count()
}

/// The subject of a question in at most `most` of its words, as they follow one another: `heat pumps`.
pub(crate) fn topic(text: &str, most: usize) -> String {
    let subject = content_words(
        text.lines()
            .find(|line| !line.trim().is_empty())
            .unwrap_or_default(),
    );
    subject.into_iter().take(most).collect::<Vec<_>>().join(" ")
}

/// What a request for a picture wants to see.
pub(crate) fn pictured(question: &str) -> String {
    let orders = [
        "draw", "paint", "picture", "image", "generate", "create", "photo",
    ];
    let wanted = content_words(question)
        .into_iter()
        .filter(|word| !orders.contains(&word.as_str()));
    let wanted: Vec<String> = wanted.take(8).collect();
    if wanted.is_empty() {
        "a quiet landscape at dawn".to_owned()
    } else {
        wanted.join(" ")
    }
}

/// `text` with a capital at its start.
pub(crate) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

/// Every word of `text` with a capital.
pub(crate) fn title_case(text: &str) -> String {
    text.split_whitespace()
        .map(capitalised)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Whole numbers and decimals in `text`, in order, as they are spelled.
pub(crate) fn numbers(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.')
        .map(|number| number.trim_matches('.'))
        .filter(|number| !number.is_empty() && number.parse::<f64>().is_ok())
        .collect()
}

/// Sentences of `text`, line by line.
pub(crate) fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut start = 0;
        for (at, mark) in line.match_indices(['.', '!', '?']) {
            let end = at + mark.len();
            let ends = line
                .get(end..)
                .is_none_or(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
            if ends {
                found.extend(line.get(start..end));
                start = end;
            }
        }
        found.extend(line.get(start..));
    }
    found
        .into_iter()
        .map(str::trim)
        .filter(|sentence| !sentence.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topic_of_a_question_is_its_content_words() {
        assert_eq!(
            topic(
                "Please tell me in one short sentence what a proxy server does.",
                3
            ),
            "proxy server"
        );
        assert_eq!(topic("How do heat pumps work?", 3), "heat pumps");
        assert_eq!(topic("Wie funktioniert eine Wärmepumpe?", 3), "wärmepumpe");
        assert_eq!(topic("Hello.", 3), "");
    }

    #[test]
    fn forms_of_one_word_are_alike_and_numbers_are_not() {
        assert!(
            alike("lighthouse", "lighthouses") && alike("city", "cities") && alike("add", "adds")
        );
        assert!(!alike("12", "120") && !alike("island", "is"));
    }

    #[test]
    fn sentences_end_at_marks_before_white_space() {
        assert_eq!(
            sentences("It costs 2.50. Really?\nYes"),
            ["It costs 2.50.", "Really?", "Yes"]
        );
    }

    #[test]
    fn numbers_keep_their_spelling() {
        assert_eq!(numbers("add 2 and 3.50."), ["2", "3.50"]);
    }
}
