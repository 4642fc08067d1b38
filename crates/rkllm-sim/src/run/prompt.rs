//! Reading the prompt: tokens, what the cache saves of them, and the time for the rest.

use super::Request;
use crate::{
    input::Encoded,
    npu::Pace,
    session::{Failed, Session, State},
};

/// Prompt tokens read in one step of the NPU.
const CHUNK: usize = 128;

impl Session {
    pub(super) fn encode(&self, state: &State, request: &Request) -> Result<Vec<Encoded>, Failed> {
        let prompts = request.inputs.iter().zip(&state.kv).map(|(input, kv)| {
            let first = !request.keep_history || kv.tokens.is_empty();
            let encoded = input
                .encode(self, &state.template, first)
                .map_err(|error| {
                    self.console.error(error);
                    Failed
                })?;
            if self.console.level >= 2 {
                let tokens = encoded
                    .ids
                    .iter()
                    .map(|&id| format!("'{}':{id}", self.vocabulary.spelling(id)));
                let list = tokens.collect::<Vec<_>>().join(", ");
                self.console.info(format_args!(
                    "prompt tokens: [ {list} ], total: {}",
                    encoded.ids.len()
                ));
            }
            Ok(encoded)
        });
        prompts.collect()
    }

    pub(super) fn is_overlong(&self, prompt: usize) -> bool {
        let context = self.settings.context(&self.model.header);
        if prompt > context {
            self.console.error(format_args!(
                "the length of prompt is greater than max context (prompt: {prompt} tokens, max context: {context})"
            ));
        }
        prompt > context
    }

    /// Puts a prompt into its row's cache. How many tokens of the cache need no computing.
    pub(super) fn place(
        &self,
        state: &mut State,
        row: usize,
        prompt: &Encoded,
        keep_history: bool,
        reuse: bool,
    ) -> Result<usize, Failed> {
        let Some(kv) = state.kv.get_mut(row) else {
            return Err(Failed);
        };
        let past = if keep_history {
            let context = self.settings.context(&self.model.header);
            if kv.tokens.len() + prompt.ids.len() > context {
                self.shift(kv, prompt.ids.len())?;
            }
            kv.tokens.len()
        } else {
            let matching = if reuse { kv.matching(&prompt.ids) } else { 0 };
            self.console.detail(
                2,
                format_args!(
                    "kv cache matches {matching} / {} tokens of prompt",
                    prompt.ids.len()
                ),
            );
            self.console.detail(
                2,
                format_args!("kv cache size after matching is: {matching}"),
            );
            kv.truncate(matching);
            matching
        };
        kv.tokens
            .extend(prompt.ids.iter().skip(if keep_history { 0 } else { past }));
        if !keep_history || past == 0 {
            kv.system = prompt.system;
        }
        Ok(past)
    }

    /// Reads `new` prompt tokens behind `past` cached ones. The board time it took.
    pub(super) fn read_prompt(
        &self,
        state: &mut State,
        pace: &mut Pace,
        new: usize,
        past: usize,
    ) -> f64 {
        let mut total = self.work(state, pace, self.model.rates.prefill_start_ms(), 1.0);
        let mut done = 0;
        while done < new {
            let chunk = CHUNK.min(new - done);
            total += self.work(
                state,
                pace,
                self.model.rates.prefill_ms(chunk, past + done),
                1.0,
            );
            done += chunk;
        }
        total
    }
}
