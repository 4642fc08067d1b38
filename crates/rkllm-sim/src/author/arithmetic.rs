//! Sums that a small model knows by heart.

use super::{answer::Answer, chance::Chance, conversation::Conversation, words};

pub(crate) fn answer(conversation: &Conversation, chance: &Chance) -> Option<Answer> {
    let question = conversation.question();
    if question.len() > 200 {
        return None;
    }
    let sum = find(&question)?;
    let (spelled, result) = (sum.to_string(), number(sum.result()?));
    Some(Answer::prose(match chance.below("sum", 3) {
        0 => format!("{spelled} = **{result}**"),
        1 => format!("The result of {spelled} is **{result}**."),
        _ => format!("{spelled} equals {result}."),
    }))
}

/// Two numbers and what to do with them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sum {
    left: f64,
    sign: char,
    right: f64,
}

impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {} {}",
            number(self.left),
            self.sign,
            number(self.right)
        )
    }
}

impl Sum {
    pub(crate) fn result(&self) -> Option<f64> {
        let result = match self.sign {
            '+' => self.left + self.right,
            '-' => self.left - self.right,
            '×' => self.left * self.right,
            _ => self.left / self.right,
        };
        result.is_finite().then_some(result)
    }

    /// The sum as a Python expression.
    pub(crate) fn python(&self) -> String {
        let sign = match self.sign {
            '×' => '*',
            '÷' => '/',
            sign => sign,
        };
        format!("{} {sign} {}", number(self.left), number(self.right))
    }
}

/// `value` without needless decimals.
pub(crate) fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The first sum in `text`: `6*7`, `2 plus 2`, `the sum of 2 and 3`, `add 2 and 3`.
pub(crate) fn find(text: &str) -> Option<Sum> {
    let lower = text.to_lowercase();
    let numbers = words::numbers(&lower);
    for pair in numbers.windows(2) {
        let [left, right] = pair else { continue };
        let left_end = offset(&lower, left)? + left.len();
        let right_start = offset(&lower, right)?;
        let before = lower.get(..offset(&lower, left)?)?;
        let sign = match lower.get(left_end..right_start)?.trim() {
            "+" | "plus" => '+',
            "-" | "−" | "minus" => '-',
            "*" | "x" | "×" | "·" | "times" | "multiplied by" => '×',
            "/" | "÷" | ":" | "divided by" => '÷',
            "and" if before.contains("sum of") || before.trim_end().ends_with("add") => '+',
            "and" if before.contains("product of") => '×',
            _ => continue,
        };
        return Some(Sum {
            left: left.parse().ok()?,
            sign,
            right: right.parse().ok()?,
        });
    }
    None
}

/// Where `part`, a slice of `text`, starts in it.
fn offset(text: &str, part: &str) -> Option<usize> {
    (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_found_and_right() {
        for (text, expected) in [
            ("/no_think What is 2+2?", "4"),
            ("Compute 6*7 with Python.", "42"),
            ("What is 10 divided by 4?", "2.5"),
            ("please add 2 and 3", "5"),
            ("the product of 6 and 7", "42"),
        ] {
            assert_eq!(
                find(text)
                    .and_then(|sum| sum.result())
                    .map(number)
                    .as_deref(),
                Some(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn other_numbers_are_no_sum() {
        assert_eq!(find("Between 1914 and 1918"), None);
        assert_eq!(find("7 divided by 0").and_then(|sum| sum.result()), None);
    }
}
