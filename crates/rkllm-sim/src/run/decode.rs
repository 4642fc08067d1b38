//! Playing the answer token by token.

use std::sync::atomic::Ordering;

use rkllm::abi::LLMCallState;

use super::{Answer, End, Matrix, Mode, Row, Sink, Verdict};
use crate::{
    crash, features,
    kv::Kv,
    npu::{self, Pace},
    session::{Failed, Session, State},
};

impl Session {
    pub(super) fn decode(
        &self,
        state: &mut State,
        answer: &mut Answer,
        pace: &mut Pace,
        sink: &mut dyn Sink,
    ) -> End {
        loop {
            let generated = answer.perf.generate_tokens;
            // Only here, between steps, is an abort noticed.
            if self.abort.swap(false, Ordering::SeqCst) {
                return End::Aborted;
            }
            if self.fault_strikes(generated) {
                return End::Failed;
            }
            if answer.limit.is_some_and(|limit| generated >= limit)
                || answer.rows.iter().all(|row| row.ended)
            {
                return End::Done;
            }
            if self.make_room(state, answer).is_err() {
                return End::Failed;
            }
            // The first token falls out of reading the prompt, as the benchmark's time to first token shows.
            if generated > 0 {
                let context = state.kv.iter().map(|kv| kv.tokens.len()).max().unwrap_or(0);
                let step = self.model.rates.decode_ms(context);
                answer.perf.generate_ms +=
                    self.work(state, pace, step, self.faults.slow_ddr.unwrap_or(1.0));
            }
            answer.perf.generate_tokens += 1;
            let verdict = self.step(state, answer, sink);
            if verdict == Verdict::Pause && !answer.keep_history && answer.rows.len() == 1 {
                return End::Paused;
            }
        }
    }

    /// Whether the run fails here. Other faults do not come back.
    fn fault_strikes(&self, generated: u32) -> bool {
        let due = |after: Option<u32>| after.is_some_and(|after| generated >= after);
        if due(self.faults.crash) {
            crash::segfault();
        }
        if due(self.faults.hang) {
            npu::hang();
        }
        due(self.faults.error)
    }

    fn make_room(&self, state: &mut State, answer: &Answer) -> Result<(), Failed> {
        let context = self.settings.context(&self.model.header);
        for (kv, row) in state.kv.iter_mut().zip(&answer.rows) {
            if !row.ended && kv.tokens.len() >= context {
                self.shift(kv, 1)?;
            }
        }
        Ok(())
    }

    /// Drops what stands behind the part to keep, so that `incoming` tokens have room.
    pub(super) fn shift(&self, kv: &mut Kv, incoming: usize) -> Result<(), Failed> {
        let context = self.settings.context(&self.model.header);
        let keep = usize::try_from(self.settings.n_keep).unwrap_or(kv.system);
        let total = kv.tokens.len();
        if keep >= total || keep + incoming > context {
            self.console.error(format_args!(
                "the context is not enough! history_s:{total}, input_s:{incoming}, max context: {context}"
            ));
            return Err(Failed);
        }
        self.console.detail(
            1,
            format_args!(
                "context to be full[{total} + {incoming}], delete the kv cache in [{keep}, {total}), total: {}",
                total - keep
            ),
        );
        kv.remove(keep, total);
        Ok(())
    }

    /// One token of every row, and the callback about it.
    fn step(&self, state: &mut State, answer: &mut Answer, sink: &mut dyn Sink) -> Verdict {
        let generated = answer.perf.generate_tokens;
        let mut said = Vec::with_capacity(answer.rows.len());
        for (row, kv) in answer.rows.iter_mut().zip(&mut state.kv) {
            if row.ended {
                said.push(Said::Nothing);
                continue;
            }
            let id = row.next_id();
            kv.tokens.push(id);
            row.ended = self.eos.contains(&id) && !self.settings.ignore_eos_token;
            let hidden =
                self.settings.skip_special_token && (self.vocabulary.is_special(id) || row.ended);
            if hidden && row.ended {
                said.push(Said::Nothing);
            } else {
                let bytes = if hidden {
                    Vec::new()
                } else {
                    row.bytes(&self.vocabulary, id)
                };
                said.push(Said::Token(id, row.pieces.push(&bytes)));
            }
        }
        self.publish_cache_sizes(state);
        if said.iter().all(|said| matches!(said, Said::Nothing)) {
            return Verdict::Continue;
        }
        let waiting = matches!(said.as_slice(), [Said::Token(_, None)]);
        let silent = self
            .faults
            .null_text
            .is_some_and(|every| generated.is_multiple_of(every));
        let logits: Vec<Vec<f32>> = match answer.mode {
            Mode::Logits => said
                .iter()
                .map(|said| self.logits(said, generated))
                .collect(),
            _ => Vec::new(),
        };
        let rows: Vec<Row<'_>> = said
            .iter()
            .enumerate()
            .map(|(index, said)| {
                let width = self.vocabulary.size();
                let logits = logits.get(index).map(|values| Matrix { values, width });
                match said {
                    Said::Nothing => Row {
                        token_id: -1,
                        ..Row::default()
                    },
                    Said::Token(token_id, text) => {
                        let text = text.as_deref().unwrap_or_default();
                        Row {
                            token_id: *token_id,
                            text: (!silent).then_some(text),
                            hidden: None,
                            logits,
                        }
                    }
                }
            })
            .collect();
        let call = if waiting {
            LLMCallState::WAITING
        } else {
            LLMCallState::NORMAL
        };
        sink.deliver(call, &rows, super::Perf::default())
    }

    fn logits(&self, said: &Said, step: u32) -> Vec<f32> {
        match said {
            Said::Token(id, _) => features::logits(self.vocabulary.size(), *id, step),
            Said::Nothing => Vec::new(),
        }
    }
}

/// What one row says in a step: nothing once it has ended, else a token and, unless it is held back, its text.
enum Said {
    Nothing,
    Token(i32, Option<Vec<u8>>),
}
