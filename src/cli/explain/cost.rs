//! What the prompt costs: its tokens, and those that need not be read again.

use std::fmt;

use super::{
    ink,
    page::{Page, rule},
};
use crate::{
    cli::paint::line,
    explain::{Differs, Explanation, Kept, Previous, Reuse},
};

impl Page {
    pub(super) fn tokens(&mut self, explanation: &Explanation) -> fmt::Result {
        let prompt = &explanation.prompt;
        let about = if prompt.exact { "" } else { "about " };
        let tokens = format!("{about}{}", count(prompt.tokens));
        let tokens = self.paint.with(ink::STRONG, &tokens);
        let context = prompt.context.map_or_else(
            || ", context unknown".to_owned(),
            |context| format!(" of {context}"),
        );
        self.row("prompt", &format!("{tokens}{context}"))?;
        if let Some(why) = &prompt.why_estimated {
            self.row("", &format!("estimated: {}", line(why)))?;
        }
        if explanation.rewritten {
            self.row(
                "",
                &format!("{about}{} without rewriting", prompt.unrewritten),
            )?;
        }
        self.row(
            "of it",
            &format!(
                "system prompt {about}{}, tools {about}{}",
                prompt.system, prompt.tools
            ),
        )?;
        if let Some(left) = prompt.left {
            let reserve = prompt.reserve.map_or_else(String::new, |reserve| {
                format!("; the policy keeps {reserve} free")
            });
            let most = explanation
                .max_tokens
                .value
                .map_or(left, |most| most.min(left));
            self.row(
                "left",
                &format!(
                    "{} for the answer, which has {most} at most{reserve}",
                    count(left)
                ),
            )?;
        }
        Ok(())
    }

    pub(super) fn reuse(&mut self, explanation: &Explanation) -> fmt::Result {
        let Some(reuse) = &explanation.reuse else {
            return self.row("reuse", "nothing to reuse: there was no request before");
        };
        let Reuse {
            previous,
            exact,
            kept,
            unrewritten,
            differs,
            notes,
        } = reuse;
        let about = if *exact { "" } else { "about " };
        let says = |kept: &Kept| {
            format!(
                "{about}{} ({} %) kept, {about}{} to read",
                count(kept.tokens),
                kept.percent,
                kept.read
            )
        };
        let from = match previous {
            Previous::Given => "the previous request",
            Previous::Derived => "the previous request, as this one tells it",
        };
        self.row("reuse", &format!("{}; after {from}", says(kept)))?;
        if let Some(unrewritten) = unrewritten.as_ref().filter(|_| explanation.rewritten) {
            self.row("", &format!("without rewriting: {}", says(unrewritten)))?;
        }
        match differs {
            Some(differs) => self.differs(differs)?,
            None => self.row("", "the prompt only grew")?,
        }
        for note in notes {
            self.row("", &self.paint.with(ink::FAINT, &line(note)))?;
        }
        Ok(())
    }

    fn differs(&mut self, differs: &Differs) -> fmt::Result {
        let Differs {
            place,
            why,
            behind,
            was,
            is,
            rules,
        } = differs;
        self.row("differs", &format!("at {}: {}", line(place), line(why)))?;
        if !behind.is_empty() {
            self.row("  behind", &line(behind))?;
        }
        self.row("  was", &self.paint.with(ink::BAD, &line(was)))?;
        self.row("  is", &self.paint.with(ink::GOOD, &line(is)))?;
        for (n, by) in rules.iter().enumerate() {
            let name = if n == 0 { "  rules" } else { "" };
            self.row(name, &rule(&by.rule, by.origin.as_ref()))?;
        }
        Ok(())
    }
}

fn count(tokens: u32) -> String {
    match tokens {
        1 => "1 token".to_owned(),
        tokens => format!("{tokens} tokens"),
    }
}
