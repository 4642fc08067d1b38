//! The few things that the simulated models know.

use super::words;

const ENTRIES: &str = include_str!("../../assets/knowledge.txt");

/// Sentences about the subject of `question`, the most important one first; empty if it is not known.
pub(crate) fn about(question: &str) -> Vec<&'static str> {
    let asked: Vec<String> = words::words(question).map(str::to_lowercase).collect();
    let entries = ENTRIES
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" | "));
    let matching = entries.filter_map(|(cues, sentences)| {
        let cues: Vec<String> = cues.split_whitespace().map(str::to_owned).collect();
        (words::overlap(&cues, &asked) == cues.len()).then_some((cues.len(), sentences))
    });
    let best = matching.max_by_key(|(cues, _)| *cues);
    best.map(|(_, sentences)| sentences.split(" | ").collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::about;

    #[test]
    fn the_entry_with_most_cues_answers() {
        assert!(about("And what is a reverse proxy?")[0].starts_with("A reverse proxy"));
        assert!(about("What does a proxy server do?")[0].starts_with("A proxy server"));
        assert!(about("What is the capital of France?")[0].contains("Paris"));
        assert!(about("Who are you?").is_empty());
    }
}
