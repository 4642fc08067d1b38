//! Being told what to say: "say hello", "say the word X", "reply with exactly X".

use super::{
    answer::Answer, chance::Chance, conversation::Conversation, language::Language, words,
};

pub(crate) fn answer(conversation: &Conversation, chance: &Chance) -> Option<Answer> {
    let question = conversation.question();
    if let Some(wanted) = wanted(&question) {
        return Some(Answer::exact(wanted));
    }
    let plain: String = question
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || *c == ' ')
        .collect();
    let greeting = match plain.trim() {
        "hello" | "hi" | "hey" | "hello there" | "good morning" | "good evening" => {
            Language::English
        }
        "hallo" | "guten tag" | "guten morgen" | "servus" => Language::German,
        "bonjour" | "salut" => Language::French,
        "hola" | "buenos días" => Language::Spanish,
        _ => return None,
    };
    let text = match greeting {
        Language::German => "Hallo! Wie kann ich dir heute helfen?",
        Language::French => "Bonjour\u{a0}! Comment puis-je vous aider aujourd'hui\u{a0}?",
        Language::Spanish => "¡Hola! ¿En qué puedo ayudarte hoy?",
        Language::English | Language::Other => chance.pick(
            "greeting",
            &[
                "Hello! 👋 How can I help you today?",
                "Hi there! What can I do for you?",
                "Hello! What would you like to talk about?",
            ],
        ),
    };
    Some(Answer::prose(text))
}

/// The text that `question` wants to hear.
fn wanted(question: &str) -> Option<String> {
    let lower = question.to_lowercase();
    if lower.len() != question.len() || question.len() > 300 {
        return None;
    }
    let orders = [
        "say the word ",
        "reply with ",
        "answer with ",
        "respond with ",
        "repeat after me: ",
        "repeat: ",
        "say ",
    ];
    let (at, order) = orders
        .iter()
        .filter_map(|order| lower.find(order).map(|at| (at, *order)))
        .min_by_key(|found| found.0)?;
    // "What do you say to..." and "they say that..." give no order.
    let before = words::words(lower.get(..at)?).last().unwrap_or("now");
    let opens = lower.get(..at)?.trim_end().ends_with([':', '.', ',', '!']);
    if !opens
        && !matches!(
            before,
            "now" | "just" | "please" | "only" | "and" | "simply" | "then" | "to"
        )
    {
        return None;
    }
    let said = question.get(at + order.len()..)?;
    if let Some(quoted) = quoted(said) {
        return Some(quoted.to_owned());
    }
    let said = said.split(['.', '\n', ',', '!', '?', ';']).next()?.trim();
    let lower = said.to_lowercase();
    let mut said = said;
    for lead in [
        "exactly ",
        "only ",
        "just ",
        "the single word ",
        "the word ",
        "the text ",
    ] {
        if lower.starts_with(lead) {
            said = said.get(lead.len()..)?;
            break;
        }
    }
    for tail in [" and nothing else", " only", " please", " again", " once"] {
        said = said.strip_suffix(tail).unwrap_or(said);
    }
    match said.to_lowercase().as_str() {
        "" => None,
        "hello" | "hi" | "hey" => Some(format!("{}!", words::capitalised(said))),
        _ if said.split_whitespace().count() > 8 => None,
        // "Say something about..." asks for prose.
        lower
            if lower.starts_with("something")
                || lower.starts_with("that ")
                || lower.starts_with("a ") =>
        {
            None
        }
        _ => Some(words::capitalised(said)),
    }
}

fn quoted(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let open = text
        .chars()
        .next()
        .filter(|c| matches!(c, '"' | '\'' | '`' | '“'))?;
    let close = if open == '“' { '”' } else { open };
    text.get(open.len_utf8()..)?
        .split_once(close)
        .map(|(inside, _)| inside)
}

#[cfg(test)]
mod tests {
    use super::wanted;

    #[test]
    fn orders_to_say_something_are_obeyed() {
        for (question, expected) in [
            ("Say the word alpha.", "Alpha"),
            ("Say hello.", "Hello!"),
            ("Thanks. Now just say hello.", "Hello!"),
            ("Parallel 3: say hello.", "Hello!"),
            ("Say hi.", "Hi!"),
            ("Reply with exactly OK and nothing else", "OK"),
            ("Answer with \"forty, two\" only.", "forty, two"),
        ] {
            assert_eq!(wanted(question).as_deref(), Some(expected), "{question}");
        }
    }

    #[test]
    fn talk_about_saying_is_no_order() {
        for question in [
            "What do they say about lighthouses?",
            "Say something about the sea.",
            "Essay on bees",
        ] {
            assert_eq!(wanted(question), None, "{question}");
        }
    }
}
