//! Answers in other languages, and polite attempts at translating.

use crate::author::{chance::Chance, language::Language, words};

const GERMAN: [&str; 6] = [
    "Im Alltag begegnet man dem Thema „{}“ häufiger, als man denkt.",
    "Das Grundprinzip ist einfach: Ein Teil bereitet die Arbeit vor, ein anderer führt sie aus, und am Ende wird das Ergebnis geprüft.",
    "Wichtig ist, mit einem kleinen Beispiel anzufangen und immer nur eine Sache zu ändern.",
    "Natürlich gibt es Vor- und Nachteile: Mehr Tempo kostet meist Genauigkeit.",
    "Wer sich näher damit beschäftigt, merkt schnell, dass die Übung mehr bringt als die Theorie.",
    "Bei größeren Vorhaben lohnt es sich, jemanden mit Erfahrung zu fragen.",
];
const FRENCH: [&str; 5] = [
    "Le sujet «\u{a0}{}\u{a0}» revient plus souvent qu'on ne le pense dans la vie quotidienne.",
    "Le principe est simple\u{a0}: une partie prépare le travail, une autre l'exécute, puis on vérifie le résultat.",
    "Il vaut mieux commencer par un petit exemple et ne changer qu'une chose à la fois.",
    "Bien sûr, il y a des avantages et des inconvénients\u{a0}: plus de vitesse coûte souvent en précision.",
    "Avec un peu de pratique, tout devient plus clair que dans les livres.",
];
const SPANISH: [&str; 5] = [
    "El tema «{}» aparece en la vida diaria más a menudo de lo que se cree.",
    "La idea básica es sencilla: una parte prepara el trabajo, otra lo hace y al final se comprueba el resultado.",
    "Conviene empezar con un ejemplo pequeño y cambiar solo una cosa cada vez.",
    "Por supuesto, hay ventajas y desventajas: más velocidad suele costar precisión.",
    "Con un poco de práctica, todo resulta más claro que en los libros.",
];

/// An answer in `language`; in one that the author does not write, a short one in the question's script.
pub(super) fn write(language: Language, question: &str, chance: &Chance) -> String {
    let (sentences, closing): (&[&str], &str) = match language {
        Language::German => (&GERMAN, "Möchtest du zu einem Punkt mehr wissen? 🙂"),
        Language::French => (&FRENCH, "Souhaitez-vous plus de détails\u{a0}? 🙂"),
        Language::Spanish => (&SPANISH, "¿Quieres saber más sobre algún punto? 🙂"),
        Language::English | Language::Other => return short(question).to_owned(),
    };
    let subject = words::content_words(question)
        .into_iter()
        .max_by_key(|word| word.chars().count())
        .unwrap_or_default();
    let (first, rest) = sentences.split_first().unwrap_or((&"", &[]));
    let rest = chance.shuffled("foreign", rest);
    let count = 2 + chance.below("foreign length", 2);
    let mut said = vec![first.replace("{}", &words::capitalised(&subject))];
    said.extend(rest.into_iter().take(count).map(str::to_owned));
    format!("{}\n\n{closing}", said.join(" "))
}

fn short(question: &str) -> &'static str {
    let holds = |from: char, to: char| question.chars().any(|c| (from..=to).contains(&c));
    if holds('\u{3040}', '\u{30ff}') {
        "ご質問ありがとうございます。簡単に言うと、まず小さな例から始めて、一つずつ確かめるのが良い方法です。"
    } else if holds('\u{4e00}', '\u{9fff}') {
        "好的。简单来说，可以先从一个小例子开始，一次只改变一个地方，然后检查结果。需要更详细的说明吗？"
    } else if holds('\u{0400}', '\u{04ff}') {
        "Хороший вопрос. Если коротко: начните с небольшого примера, меняйте по одной вещи за раз и проверяйте результат."
    } else {
        "I am afraid that I do not write this language well. Could you ask in English, German, French or Spanish?"
    }
}

/// Words that the author can translate: English, German, French, Spanish.
const WORDS: [[&str; 4]; 10] = [
    ["hello", "hallo", "bonjour", "hola"],
    ["good morning", "guten Morgen", "bonjour", "buenos días"],
    ["thank you", "danke", "merci", "gracias"],
    ["please", "bitte", "s'il vous plaît", "por favor"],
    ["house", "Haus", "maison", "casa"],
    ["water", "Wasser", "eau", "agua"],
    ["cat", "Katze", "chat", "gato"],
    ["dog", "Hund", "chien", "perro"],
    ["friend", "Freund", "ami", "amigo"],
    ["world", "Welt", "monde", "mundo"],
];

/// A translation of words that are known, or a polite attempt.
pub(super) fn translate(question: &str) -> String {
    let lower = question.to_lowercase();
    let column = match () {
        () if lower.contains("german") || lower.contains("deutsch") => 1,
        () if lower.contains("french") || lower.contains("franz") => 2,
        () if lower.contains("spanish") || lower.contains("spanisch") => 3,
        () => 0,
    };
    let quoted = lower
        .split(['"', '“', '”', '„', '\''])
        .nth(1)
        .unwrap_or(&lower);
    let known: Vec<&str> = WORDS
        .iter()
        .filter(|row| row.iter().any(|word| quoted.contains(&word.to_lowercase())))
        .filter_map(|row| row.get(column).copied())
        .collect();
    if known.is_empty() {
        return "I will try, but my vocabulary is small: please check the result with a dictionary. \
                Could you give me a shorter text to translate?"
            .to_owned();
    }
    format!("**{}**", words::capitalised(&known.join(" ")))
}
