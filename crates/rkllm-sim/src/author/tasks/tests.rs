//! Prompts in the shape that Open WebUI 0.5 to 0.12 gives them, shortened.

use serde_json::Value;

use crate::author::fixtures::{ask, chat};

const HEAT_PUMPS: &str = "<chat_history>\nUSER: How do heat pumps work?\nASSISTANT: They move heat from outside to inside.\n\
    USER: And in winter?\nASSISTANT: Also in winter, with lower efficiency.\n</chat_history>";

fn object(answer: &str) -> Value {
    serde_json::from_str(answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// The strings under `key` in the answer to a task about `history`.
fn listed(instructions: &str, key: &str, history: &str) -> Vec<String> {
    let answer = object(&ask(&format!(
        "### Task:\n{instructions}\n### Chat History:\n{history}"
    )));
    let items = answer[key].as_array().unwrap().iter();
    items
        .map(|item| item.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn titles_are_short_and_on_the_subject() {
    for (instructions, emoji) in [
        (
            "Generate a concise title summarizing the chat history.\n### Output:\nJSON format: { \"title\": \"your concise title here\" }",
            false,
        ),
        (
            "Generate a concise, 3-5 word title with an emoji summarizing the chat history.\n### Output:\nJSON format: { \"title\": \"your concise title here\" }",
            true,
        ),
    ] {
        let answer = object(&ask(&format!(
            "### Task:\n{instructions}\n### Chat History:\n{HEAT_PUMPS}"
        )));
        let title = answer["title"].as_str().unwrap();
        assert!(title.contains("Heat Pumps"), "{title}");
        assert!(
            (2..=5).contains(&title.split_whitespace().count()),
            "{title}"
        );
        assert_eq!(title.starts_with(char::is_alphabetic), !emoji, "{title}");
    }
    let plain = ask(
        "Create a concise, 3-5 word title with an emoji as a title for the chat history, in the given language.\n\
         <chat_history>\nUSER: How do heat pumps work?\n</chat_history>",
    );
    assert!(
        plain.contains("Heat Pumps") && !plain.contains('{'),
        "{plain}"
    );
}

#[test]
fn a_greeting_has_a_title_too() {
    let history = "<chat_history>\nUSER: Hello\nASSISTANT: \n</chat_history>";
    let answer = object(&ask(&format!(
        "Generate a title summarizing the chat history as JSON: {{ \"title\": \"...\" }}\n{history}"
    )));
    assert_eq!(answer["title"], "Friendly Greeting");
}

#[test]
fn tags_follow_ups_and_queries_are_lists_on_the_subject() {
    let tags = listed(
        "Generate 1-3 broad tags categorizing the main themes of the chat history\nJSON format: { \"tags\": [\"tag1\"] }",
        "tags",
        HEAT_PUMPS,
    );
    assert_eq!(tags, ["Science", "Heat Pumps"]);
    let follow_ups = listed(
        "Suggest 3-5 relevant follow-up questions or prompts\nJSON format: { \"follow_ups\": [\"Question 1?\"] }",
        "follow_ups",
        HEAT_PUMPS,
    );
    assert_eq!(follow_ups.len(), 3);
    assert!(
        follow_ups
            .iter()
            .all(|text| text.to_lowercase().contains("winter")),
        "{follow_ups:?}"
    );
    let queries = "Analyze the chat history to determine the necessity of generating search queries\n\
                   Strictly return in JSON format: \n{\n  \"queries\": [\"query1\", \"query2\"]\n}";
    assert_eq!(
        listed(queries, "queries", HEAT_PUMPS)[0],
        "heat pumps winter"
    );
    let files = "<chat_history>\nUSER: <attached_files>\n<file type=\"file\" name=\"facts.txt\"/>\n</attached_files>\n\nHow many lighthouses has island 12?\n</chat_history>";
    assert_eq!(
        listed(queries, "queries", files)[0],
        "lighthouses island 12"
    );
    let greeting = "<chat_history>\nUSER: Hello!\n</chat_history>";
    assert!(listed(queries, "queries", greeting).is_empty());
}

#[test]
fn what_is_typed_is_completed() {
    let complete = |kind: &str, text: &str| {
        let prompt = format!(
            "### Task:\nYou are an autocompletion system.\n- Respond only in JSON format: `{{ \"text\": \"<your_completion>\" }}`.\n\
             #### Example 1:\n<type>General</type>\n<text>The sun was setting</text>\n### Context:\n{HEAT_PUMPS}\n\
             <type>{kind}</type>  \n<text>{text}</text>  \n#### Output:\n"
        );
        object(&ask(&prompt))["text"].as_str().unwrap().to_owned()
    };
    assert!(
        ["Berlin", "London", "Lisbon"].iter().any(|city| complete(
            "search query",
            "The weather in"
        )
        .contains(city))
    );
    assert!(!complete("general", "Tell me how").is_empty());
    assert_eq!(complete("general", ""), "");
}

#[test]
fn pictures_emojis_and_syntheses_have_their_own_forms() {
    let picture = "### Task:\nGenerate a detailed prompt for am image generation task based on the given language and context.\n\
                   Strictly return in JSON format:\n{\n    \"prompt\": \"Your detailed description here.\"\n}\n\
                   ### Chat History:\n<chat_history>\nUSER: Draw a red fox.\n</chat_history>";
    assert!(
        object(&ask(picture))["prompt"]
            .as_str()
            .unwrap()
            .contains("red fox")
    );
    let emoji = "Your task is to reflect the speaker's likely facial expression through a fitting emoji. (e.g., 😊, 😢)\n\n\
                 Message: ```I am so happy today```";
    assert_eq!(ask(emoji), "😊");
    let synthesis = "You have been provided with a set of responses from various models to the latest user query: \
                     \"How do heat pumps work?\"\n\nYour task is to synthesize these responses into one.\n\n\
                     Responses from models: \"\"\"They move heat.\"\"\"\n\n\"\"\"By compression.\"\"\"";
    let merged = ask(synthesis);
    assert!(
        merged.contains("They move heat. By compression."),
        "{merged}"
    );
}

#[test]
fn a_compacted_conversation_is_summarised() {
    let prompt = "### Task:\nSummarize the conversation history that will be compacted out of the active chat context.\n\n\
                  ### Previous Summary:\n- The user likes islands.\n\n### Messages Being Compacted:\n\
                  USER: How many lighthouses has island 12?\nASSISTANT: It has 84. Anything else?\n\n\
                  ### Recent Messages Kept In Context:\nUSER: And island 13?";
    let summary = ask(prompt);
    assert!(
        summary.contains("likes islands") && summary.contains("It has 84."),
        "{summary}"
    );
    assert!(!summary.contains("island 13"), "{summary}");
}

#[test]
fn lasting_facts_are_remembered_and_others_are_not() {
    let review = |said: &str| {
        let user = format!(
            "Review the completed conversation turn and decide whether long-term memory should change.\n\
             - Return only JSON in this shape:\n  {{\"operations\":[\n    {{\"action\":\"add\"}}\n  ]}}\n\n\
             Existing memories:\n(none)\n\nConversation:\nuser: {said}\n\nassistant: Fine.\n"
        );
        let system = "You are Open WebUI's private memory reviewer. Return only valid JSON.";
        object(&chat(&[("system", system), ("user", &user)]))["operations"].clone()
    };
    let kept = review("My favourite animal is the otter, remember that.");
    assert_eq!(
        kept[0]["content"],
        "The user's favourite animal is the otter."
    );
    assert_eq!(review("What time is it?"), Value::Array(Vec::new()));
}

/// Prompts that a gateway has cut down for small models: the chat first, the order in the last paragraph.
#[test]
fn short_orders_are_understood_as_well_as_long_ones() {
    let chat_so_far = "USER: How do heat pumps work?\nASSISTANT: They move heat.\n\nUSER: And in winter?\nASSISTANT: Still fine.";
    let json = |order: &str| object(&ask(&format!("{chat_so_far}\n\n{order}")));
    let title = json(
        "Name the chat above in 2 to 4 words. No emoji.\nAnswer with JSON only: {\"title\": \"short title\"}",
    );
    assert!(title["title"].as_str().unwrap().starts_with("Heat Pumps"));
    let title = json(
        "Name the chat above. Begin with one fitting emoji.\nAnswer with JSON only: {\"title\": \"emoji and title\"}",
    );
    assert!(!title["title"].as_str().unwrap().starts_with('H'));
    let tags = json(
        "Which subjects is the chat above about?\nAnswer with JSON only: {\"tags\": [\"subject\"]}",
    );
    assert_eq!(tags["tags"][1], "Heat Pumps");
    let next = json(
        "What might the user write next?\nAnswer with JSON only: {\"follow_ups\": [\"message\"]}",
    );
    assert_eq!(next["follow_ups"].as_array().unwrap().len(), 3);
    let queries = json(
        "Today is 2026-11-22.\nWrite web search queries.\nAnswer with JSON only: {\"queries\": [\"query\"]}",
    );
    assert_eq!(queries["queries"][0], "heat pumps winter");
    let typed = json(
        "Someone is typing this (search query): The weather in\nHow does it go on?\nAnswer with JSON only: {\"text\": \"words\"}",
    );
    let text = typed["text"].as_str().unwrap();
    assert!(
        ["Berlin", "London", "Lisbon"]
            .iter()
            .any(|city| text.contains(city)),
        "{text}"
    );
    let plain = ask(&format!(
        "{chat_so_far}\n\nName the chat above in 3 to 5 words. Answer with the title only."
    ));
    assert!(
        plain.contains("Heat Pumps") && !plain.contains('{'),
        "{plain}"
    );
    let emoji = "I am so happy today\n\nWhich emoji shows the mood of the message above? Answer with one emoji only.";
    assert_eq!(ask(emoji), "😊");
    let merged = ask(
        "Question: How do heat pumps work?\n\nAnswers of several assistants:\n\"\"\"They move heat.\"\"\"\n\n\"\"\"By compression.\"\"\"\n\n\
         Make one good answer to the question out of these.",
    );
    assert!(
        merged.starts_with("Taken together, on heat pumps: They move heat. By compression.\n"),
        "{merged}"
    );
    let summary = ask(&format!(
        "Before that: - The user likes islands.\n\n{chat_so_far}\n\nSum up all of the above for the assistant that goes on with it."
    ));
    assert!(
        summary.contains("likes islands") && summary.contains("They move heat."),
        "{summary}"
    );
    assert!(!summary.contains("goes on with it"), "{summary}");
    let memory = ask(
        "Known about the user:\n(none)\n\nConversation:\nuser: My favourite animal is the otter, remember that.\n\nassistant: Fine.\n\n\
         Did the user tell something about themselves?\nAnswer with JSON only. New: {\"operations\": [{\"action\": \"add\"}]}",
    );
    assert_eq!(
        object(&memory)["operations"][0]["content"],
        "The user's favourite animal is the otter."
    );
    let system = "Tools: [{\"name\":\"add\",\"description\":\"Add two integers.\",\"parameters\":{\"properties\":{\"a\":{\"type\":\"integer\"}},\"type\":\"object\"}}]\n\n\
                  Which of these tools does the query need?\nAnswer with JSON only: {\"tool_calls\": [{\"name\": \"tool\", \"parameters\": {}}]}";
    let call = object(&chat(&[
        ("system", system),
        ("user", "Query: add 2 and 3."),
    ]));
    assert_eq!(call["tool_calls"][0]["name"], "add");
}

#[test]
fn talk_about_json_and_retrieved_text_are_no_tasks() {
    let answer = ask("Why does my JSON with \"tags\": [] not parse?");
    assert!(!answer.starts_with('{'), "{answer}");
    let answer = ask(
        "### Task:\nRespond to the user query using the provided context.\n<context>\n<source id=\"1\">The JSON key \"title\": names the chat history.</source>\n</context>\n\nWhat does the key name?",
    );
    assert!(answer.contains("names the chat history [1]"), "{answer}");
}
