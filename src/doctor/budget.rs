//! Whether the memory budget has room for the models.

use super::Finding;
use crate::engine::ModelCard;

/// What does not fit into `budget` bytes: a model alone, or any two of them together.
pub(super) fn findings(models: &[ModelCard], budget: u64) -> Vec<Finding> {
    let needs = models
        .iter()
        .map(|model| (model.id.as_str(), model.expected_memory()));
    judge(needs.collect(), budget)
}

fn judge(mut models: Vec<(&str, u64)>, budget: u64) -> Vec<Finding> {
    let warn = |message| {
        let fix =
            "set engine.memory_budget in rkgate.toml, or use smaller models or a smaller context";
        Finding::warn("models", message, fix)
    };
    let room = mib(budget);
    let too_large = models.iter().filter(|(_, need)| *need > budget);
    let mut findings: Vec<Finding> = too_large
        .map(|(id, need)| {
            let need = mib(*need);
            warn(format!(
                "{id} needs about {need}, more than the memory budget of {room}: it is loaded alone, and may fail"
            ))
        })
        .collect();
    models.sort_unstable_by_key(|(_, need)| *need);
    if let [(_, smallest), (_, next), ..] = models[..]
        && smallest.saturating_add(next) > budget
    {
        findings.push(warn(format!(
            "the memory budget of {room} has room for one model at a time: they take turns, and each change is a load"
        )));
    }
    findings
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1 << 30;

    fn said(models: &[(&str, u64)], budget: u64) -> Vec<String> {
        let findings = judge(models.to_vec(), budget).into_iter();
        findings.map(|finding| finding.message).collect()
    }

    #[test]
    fn what_does_not_fit_alone_or_in_pairs_is_told() {
        let models = [("big", 4 * GB), ("small", GB), ("smaller", GB)];
        assert_eq!(said(&models, 4 * GB), [""; 0]);
        let [alone] = &said(&models, 3 * GB)[..] else {
            panic!("not one finding")
        };
        assert!(alone.starts_with("big needs about 4096 MiB"), "{alone}");
        let said = said(&models[..2], 4 * GB);
        assert!(said[0].contains("4096 MiB has room for one model at a time"));
    }

    #[test]
    fn one_model_needs_no_room_for_another() {
        assert_eq!(said(&[("only", GB)], GB), [""; 0]);
    }
}
