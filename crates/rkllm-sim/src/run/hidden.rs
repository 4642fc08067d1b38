//! Runs that ask for the last hidden layer.

use rkllm::abi::LLMCallState;

use super::{Matrix, Pace, Perf, Row, Sink};
use crate::{
    features,
    input::Encoded,
    session::{Failed, Session, State},
};

impl Session {
    /// Reads the prompts and gives their hidden states. The cache is not reused here: every row has to be computed.
    pub(super) fn hidden_layer(
        &self,
        state: &mut State,
        prompts: &[Encoded],
        pace: &mut Pace,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let width = self.model.header.embd_size;
        let mut perf = Perf {
            memory_mb: self.model.header.memory_mb,
            ..Perf::default()
        };
        let mut layers = Vec::with_capacity(prompts.len());
        for (row, prompt) in prompts.iter().enumerate() {
            if let Some(kv) = state.kv.get_mut(row) {
                kv.tokens.clone_from(&prompt.ids);
                kv.system = prompt.system;
            }
            perf.prefill_ms += self.read_prompt(state, pace, prompt.ids.len(), 0);
            perf.prefill_tokens += prompt.ids.len() as u32;
            layers.push(features::hidden_states(
                &self.vocabulary,
                &prompt.ids,
                width,
            ));
        }
        self.publish_cache_sizes(state);
        let rows: Vec<Row<'_>> = layers
            .iter()
            .map(|values| Row {
                token_id: -1,
                hidden: Some(Matrix { values, width }),
                ..Row::default()
            })
            .collect();
        let _ = sink.deliver(LLMCallState::NORMAL, &rows, Perf::default());
        self.print_table(state, perf);
        if !self.faults.no_finish_hidden {
            let _ = sink.deliver(LLMCallState::FINISH, &[], perf);
        }
        Ok(())
    }
}
