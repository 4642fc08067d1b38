//! Counting: really every number that was asked for.

use super::{answer::Answer, chance::Chance, conversation::Conversation, words};

/// Most numbers that an answer counts.
const MOST: usize = 5_000;

pub(crate) fn answer(conversation: &Conversation, _: &Chance) -> Option<Answer> {
    let question = conversation.question();
    let (first, last) = range(&question)?;
    let lower = question.to_lowercase();
    let separator = if lower.contains("comma") {
        ", "
    } else if lower.contains("line") || first.abs_diff(last) > 20 {
        "\n"
    } else {
        " "
    };
    let spelled: Vec<String> = if first <= last {
        (first..=last)
            .take(MOST)
            .map(|number| number.to_string())
            .collect()
    } else {
        (last..=first)
            .rev()
            .take(MOST)
            .map(|number| number.to_string())
            .collect()
    };
    Some(Answer::exact(spelled.join(separator)))
}

/// From where to where the question wants to count.
pub(crate) fn range(question: &str) -> Option<(u64, u64)> {
    let lower = question.to_lowercase();
    let asked = lower.get(lower.find("count ")?..)?;
    let numbers: Vec<u64> = words::numbers(asked)
        .iter()
        .filter_map(|number| number.parse().ok())
        .collect();
    let (first, last) = match numbers.as_slice() {
        [first, last, ..] if asked.contains("from") => (*first, *last),
        [last, ..] => (1, *last),
        [] => return None,
    };
    asked
        .contains(&format!(" to {last}"))
        .then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn ranges_are_read() {
        assert_eq!(
            range("Count from 1 to 400, one number per line, nothing else."),
            Some((1, 400))
        );
        assert_eq!(range("Please count from 10 down to 1"), Some((10, 1)));
        assert_eq!(range("count to 7"), Some((1, 7)));
        assert_eq!(range("The count of people who came to Rome in 1200"), None);
        assert_eq!(range("How many countries are there?"), None);
    }
}
