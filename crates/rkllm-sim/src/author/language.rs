//! Which language a text is in, told by its small words.

use super::words;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    German,
    French,
    Spanish,
    /// A language that the author does not write.
    Other,
}

const MARKERS: [(Language, &str); 4] = [
    (
        Language::English,
        "the is are what how of and to in does do you please why which it for with this that who when a an i my me tell about give list write name show on or not use",
    ),
    (
        Language::German,
        "der die das und ist wie was ein eine nicht ich du mir bitte warum wo wer mit für auf im den es",
    ),
    (
        Language::French,
        "le la les est une un des et comment pourquoi que qui dans pour avec je vous du quel quelle",
    ),
    (
        Language::Spanish,
        "el la los las es una un cómo qué por para con y del en dónde cuál que puedes",
    ),
];

impl Language {
    pub(crate) fn of(text: &str) -> Self {
        let letters = text.chars().filter(|c| c.is_alphabetic()).count();
        let latin = text
            .chars()
            .filter(|c| c.is_alphabetic() && (*c as u32) < 0x250)
            .count();
        if latin * 2 < letters {
            return Self::Other;
        }
        let lower = text.to_lowercase();
        let score = |markers: &str| {
            words::words(&lower)
                .filter(|word| markers.split_whitespace().any(|marker| marker == *word))
                .count()
        };
        let accents = [
            (Self::German, "äöüß"),
            (Self::Spanish, "¿¡ñ"),
            (Self::French, "çèêœù"),
        ];
        let accent = |language| {
            let found = accents.iter().find(|(of, _)| *of == language);
            usize::from(found.is_some_and(|(_, marks)| lower.contains(|c| marks.contains(c)))) * 2
        };
        // One small word is no proof: many are spelled alike in two languages.
        let mut best = (Self::English, 1);
        for (language, markers) in MARKERS {
            let points = score(markers) + accent(language);
            if points > best.1 {
                best = (language, points);
            }
        }
        best.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_told_by_their_small_words() {
        for (text, expected) in [
            ("How do heat pumps work?", Language::English),
            ("Wie funktioniert eine Wärmepumpe?", Language::German),
            ("Comment fonctionne une pompe à chaleur ?", Language::French),
            ("¿Cómo funciona una bomba de calor?", Language::Spanish),
            ("Как работает тепловой насос?", Language::Other),
            ("Hello", Language::English),
            ("Tell me about marble quarries.", Language::English),
        ] {
            assert_eq!(Language::of(text), expected, "{text}");
        }
    }
}
