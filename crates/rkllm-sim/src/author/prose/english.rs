//! English answers.

use super::opening;
use crate::author::chance::Chance;

const GENERAL: [&str; 10] = [
    "In everyday use, {} comes up more often than most people notice.",
    "The basic idea behind {} is simple: one part prepares the work, another part does it, and the result is checked.",
    "It helps to look at {} from two sides: what goes in and what comes out.",
    "There are trade-offs, of course – more speed usually costs accuracy, and more detail costs time.",
    "A good way to get a feeling for {} is to start with a small example and change one thing at a time.",
    "Many introductions to {} begin with the history; for practice, the current state matters more.",
    "If you only remember one thing about {}, let it be this: start simple and measure before you optimise.",
    "Opinions on {} differ, so it is worth checking more than one source.",
    "People who work with {} every day recommend writing down what you tried and what happened.",
    "Compared with the alternatives, {} is easy to start with and takes a while to master.",
];

const POINTS: [&str; 8] = [
    "**Purpose** – know what you want from {} before you begin",
    "**Basics** – the main terms fit on one page",
    "**Cost** – time and attention matter more than money",
    "**Limits** – no single approach fits every case",
    "**Practice** – a small project teaches more than ten articles",
    "**Feedback** – ask someone with experience to take a look",
    "**Patience** – the first result is rarely the best one",
    "**Safety** – keep a way back in case something goes wrong",
];

const LEADS: [&str; 4] = [
    "{} is a good thing to ask about.",
    "Let me give you a short overview of {}.",
    "Here is what matters most about {}.",
    "Happy to help with {}!",
];

const CLOSINGS: [&str; 5] = [
    "Let me know if you would like an example. 🙂",
    "I can go into more detail on any of these points.",
    "Would you like to know more about one part of it?",
    "I hope that helps! 🚀",
    "If something is unclear, just ask.",
];

fn fill(form: &str, subject: &str) -> String {
    let named = if subject.is_empty() { "this" } else { subject };
    let filled = form.replace("{}", named);
    if form.starts_with("{}") {
        filled.replacen(named, &opening(subject), 1)
    } else {
        filled
    }
}

pub(super) fn sentence(subject: &str, chance: &Chance) -> String {
    fill(chance.pick("sentence", &GENERAL), subject)
}

pub(super) fn usual(subject: &str, known: &[&str], chance: &Chance) -> String {
    let mut paragraphs: Vec<String> = Vec::new();
    let general = chance.shuffled("general", &GENERAL);
    if known.is_empty() {
        let first = general
            .iter()
            .take(2)
            .map(|form| fill(form, subject))
            .collect::<Vec<_>>()
            .join(" ");
        paragraphs.push(format!(
            "{} {first}",
            fill(chance.pick("lead", &LEADS), subject)
        ));
    } else {
        paragraphs.push(known.join(" "));
    }
    match chance.below("shape", 3) {
        0 => paragraphs.push(points(subject, 3, chance)),
        1 => paragraphs.push(
            general
                .iter()
                .skip(2)
                .take(2)
                .map(|form| fill(form, subject))
                .collect::<Vec<_>>()
                .join(" "),
        ),
        _ => {}
    }
    paragraphs.push(chance.pick("closing", &CLOSINGS).to_owned());
    paragraphs.join("\n\n")
}

pub(super) fn long(subject: &str, known: &[&str], chance: &Chance) -> String {
    let general = chance.shuffled("general", &GENERAL);
    let sentences = |from: usize, count: usize| {
        general
            .iter()
            .skip(from)
            .take(count)
            .map(|form| fill(form, subject))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let overview = if known.is_empty() {
        fill(chance.pick("lead", &LEADS), subject)
    } else {
        known.join(" ")
    };
    format!(
        "## {title}\n\n{overview} {first}\n\n### How it works\n\n{second}\n\n### What to look at\n\n{points}\n\n\
         ### In practice\n\n{third} Take a concrete case: you have an afternoon, some material and a clear question. \
         Write down what you expect, try it, and compare. The difference between the two is where you learn most.\n\n### Summary\n\n{summary} {closing}",
        title = opening(subject),
        first = sentences(0, 2),
        second = sentences(2, 3),
        points = points(subject, 8, chance),
        third = sentences(5, 3),
        summary = sentences(8, 2),
        closing = chance.pick("closing", &CLOSINGS),
    )
}

fn points(subject: &str, count: usize, chance: &Chance) -> String {
    let chosen = chance.shuffled("points", &POINTS).into_iter().take(count);
    chosen
        .map(|form| format!("- {}", fill(form, subject)))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Exactly `items` numbered items.
pub(super) fn list(subject: &str, items: usize, known: &[&str], chance: &Chance) -> String {
    let forms = chance.shuffled("points", &POINTS);
    let known = known.iter().map(|sentence| (*sentence).to_owned());
    let general = forms.iter().cycle().enumerate().map(|(position, form)| {
        let again = if position < forms.len() {
            String::new()
        } else {
            format!(" (part {})", position / forms.len() + 1)
        };
        format!("{}{again}", fill(form, subject))
    });
    let lines = known
        .chain(general)
        .take(items)
        .enumerate()
        .map(|(position, text)| format!("{}. {text}", position + 1));
    lines.collect::<Vec<_>>().join("\n")
}
