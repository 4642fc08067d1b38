//! Which of Open WebUI's tools stay for what people ask.

use rkgate::policy::{Facts, StepOutcome};
use serde_json::json;

use crate::{
    fixtures::{self, Fixture},
    shipped,
};

/// A chat with these questions that offers the tools of Open WebUI 0.12.4.
fn chat(questions: &[&str]) -> Fixture {
    let mut fixture = fixtures::read("captures")
        .into_iter()
        .find(|fixture| fixture.name.starts_with("0030"))
        .unwrap();
    let mut messages = Vec::new();
    for (place, question) in questions.iter().enumerate() {
        if place > 0 {
            messages.push(json!({"role": "assistant", "content": "Well."}));
        }
        messages.push(json!({"role": "user", "content": question}));
    }
    fixture.body["messages"] = messages.into();
    fixture.body["model"] = "qwen3-1.7b".into();
    fixture
}

fn kept(questions: &[&str]) -> Vec<String> {
    let fixture = chat(questions);
    let outcome = fixture.decide(&shipped(), &Facts::example());
    let request = outcome.request.unwrap_or_else(|| fixture.request());
    request.tools.into_iter().map(|tool| tool.name).collect()
}

#[test]
fn what_people_ask_for_is_there() {
    let missing: Vec<String> = ASKED
        .iter()
        .map(|(question, tool)| (question, tool, kept(&[question])))
        .filter(|(_, tool, kept)| !kept.iter().any(|name| name == *tool))
        .map(|(question, tool, kept)| format!("{question}: no {tool} in {kept:?}"))
        .collect();
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn what_needs_no_tool_gets_none() {
    let noisy: Vec<String> = PLAIN
        .iter()
        .map(|question| (question, kept(&[question])))
        .filter(|(_, kept)| !kept.is_empty())
        .map(|(question, kept)| format!("{question}: {kept:?}"))
        .collect();
    assert!(noisy.is_empty(), "{}", noisy.join("\n"));
}

/// Plain turns change nothing, so that the model's cache holds.
#[test]
fn tools_stay_through_plain_turns() {
    let asked = "Remind me to call the dentist tomorrow at nine";
    let one = kept(&[asked]);
    assert!(one.iter().any(|name| name == "create_calendar_event"));
    let mut questions = vec![asked];
    questions.extend(PLAIN.iter().take(12));
    assert_eq!(kept(&questions), one);
}

#[test]
fn the_trace_says_why_a_tool_stays() {
    let fixture = chat(&["Suche in meinen Notizen nach dem Rezept"]);
    let outcome = fixture.decide(&shipped(), &Facts::example());
    let changes = outcome
        .trace
        .steps
        .iter()
        .filter_map(|step| match &step.outcome {
            StepOutcome::Applied { changes } => Some(changes),
            _ => None,
        });
    let told: Vec<&str> = changes
        .flatten()
        .map(|change| change.what.as_str())
        .filter(|what| what.contains("tools kept"))
        .collect();
    assert!(
        told.iter()
            .any(|what| what.contains("search_notes (asked for: notiz")),
        "{told:?}"
    );
}

const ASKED: &[(&str, &str)] = &[
    ("What time is it?", "get_current_timestamp"),
    ("What's today's date?", "get_current_timestamp"),
    ("Search my notes for the recipe", "search_notes"),
    ("What do my notes say about otters?", "search_notes"),
    (
        "Create a note with this shopping list: milk, eggs",
        "write_note",
    ),
    ("Save this as a note", "write_note"),
    ("Open my note about taxes", "view_note"),
    ("Remember that my daughter is called Mia", "add_memory"),
    (
        "Remember that I like otters: save it to memory",
        "add_memory",
    ),
    ("What do you know about me?", "list_memories"),
    ("Forget what I told you about my job", "delete_memory"),
    ("What did we talk about yesterday?", "search_chats"),
    (
        "Find the conversation where I asked about otters",
        "search_chats",
    ),
    ("Set an alarm for 7", "create_calendar_event"),
    (
        "Remind me to call the dentist tomorrow at nine",
        "create_calendar_event",
    ),
    (
        "Put the meeting on Friday into my calendar",
        "create_calendar_event",
    ),
    (
        "What is on my calendar next week?",
        "search_calendar_events",
    ),
    (
        "Cancel the event with Anna on Tuesday",
        "delete_calendar_event",
    ),
    ("Which knowledge bases do I have?", "list_knowledge_bases"),
    (
        "Search my knowledge base for the warranty terms",
        "query_knowledge_files",
    ),
    (
        "Grep the knowledge files for ERR_42",
        "grep_knowledge_files",
    ),
    (
        "Delete the automation that posts the news",
        "delete_automation",
    ),
    (
        "Every morning at 8 send me a summary of the news",
        "create_automation",
    ),
    ("List my automations", "list_automations"),
    (
        "Pause the automation for the weekly report",
        "toggle_automation",
    ),
    (
        "Create a task list for the move and tick off what is done",
        "create_tasks",
    ),
    ("Create a skill for writing minutes", "create_skill"),
    ("Search my old chats for the pasta recipe", "search_chats"),
    ("Use view_chat please", "view_chat"),
    (
        "Erinnere mich morgen um neun an den Zahnarzt",
        "create_calendar_event",
    ),
    ("Wie spät ist es?", "get_current_timestamp"),
    ("Suche in meinen Notizen nach dem Rezept", "search_notes"),
    ("Merk dir, dass meine Tochter Mia heißt", "add_memory"),
    (
        "Trag den Termin am Freitag in meinen Kalender ein",
        "create_calendar_event",
    ),
    (
        "Rappelle-moi d'appeler le dentiste demain",
        "create_calendar_event",
    ),
    ("Quelle heure est-il ?", "get_current_timestamp"),
    ("Cherche la recette dans mes notes", "search_notes"),
    (
        "Recuérdame llamar al dentista mañana",
        "create_calendar_event",
    ),
    ("¿Qué hora es?", "get_current_timestamp"),
    ("Busca la receta en mis notas", "search_notes"),
    (
        "Напомни мне завтра позвонить врачу",
        "create_calendar_event",
    ),
    ("Который час?", "get_current_timestamp"),
    ("Найди рецепт в моих заметках", "search_notes"),
    ("Запомни, что я живу в Бергене", "add_memory"),
    ("明天九点提醒我给牙医打电话", "create_calendar_event"),
    ("现在几点？", "get_current_timestamp"),
    ("在我的笔记里搜索食谱", "search_notes"),
    ("记住我喜欢水獭", "add_memory"),
    (
        "明日9時に歯医者に電話するようリマインドして",
        "create_calendar_event",
    ),
    ("メモからレシピを検索して", "search_notes"),
    (
        "내일 9시에 치과에 전화하라고 알림 설정해 줘",
        "create_calendar_event",
    ),
    ("메모에서 레시피를 찾아 줘", "search_notes"),
    ("ذكرني غدًا بالاتصال بطبيب الأسنان", "create_calendar_event"),
    ("Ricordami di chiamare il dentista", "create_calendar_event"),
    ("Pesquise minhas notas sobre lontras", "search_notes"),
    ("Lösche die Notiz über Steuern", "view_note"),
    (
        "what's the time in here right now? what time is it",
        "get_current_timestamp",
    ),
    (
        "add a note titled Groceries with eggs and rice",
        "write_note",
    ),
    (
        "look through my notes for the wifi password",
        "search_notes",
    ),
    (
        "update my note on the garden: add tomatoes",
        "replace_note_content",
    ),
    ("please remember my birthday is in May", "add_memory"),
    ("which things do you know about me so far", "list_memories"),
    (
        "schedule a meeting with Tom at 3pm",
        "create_calendar_event",
    ),
    (
        "do I have an appointment tomorrow?",
        "search_calendar_events",
    ),
    ("move my appointment to Friday", "update_calendar_event"),
    (
        "in the previous conversation you gave me a link, find it",
        "search_chats",
    ),
    ("turn off the automation for stocks", "toggle_automation"),
    ("every day at 7am write me a haiku", "create_automation"),
    (
        "search the knowledge base for vacation rules",
        "query_knowledge_files",
    ),
    (
        "what's in my files about the lease",
        "query_knowledge_files",
    ),
    ("Schreib eine Notiz: Milch kaufen", "write_note"),
    ("Was steht in meinem Kalender?", "search_calendar_events"),
    ("Was weißt du über mich?", "list_memories"),
    ("Vergiss, dass ich Vegetarier bin", "delete_memory"),
    ("Welcher Tag ist heute?", "get_current_timestamp"),
    (
        "Ajoute un rendez-vous dans mon agenda",
        "create_calendar_event",
    ),
    ("Souviens-toi que j'aime le thé", "add_memory"),
    ("¿Qué tengo en mi calendario hoy?", "search_calendar_events"),
    ("Recuerda que soy alérgico a las nueces", "add_memory"),
    ("Che ore sono?", "get_current_timestamp"),
    ("Добавь встречу в календарь", "create_calendar_event"),
    ("Что ты знаешь обо мне?", "list_memories"),
    ("把会议加到我的日程", "create_calendar_event"),
    ("写一个笔记里的购物清单", "write_note"),
    ("今何時？", "get_current_timestamp"),
    ("私の好きな色は青だと覚えて", "add_memory"),
    ("내 일정 보여 줘", "search_calendar_events"),
    ("지금 몇 시야?", "get_current_timestamp"),
    ("Hoe laat is het?", "get_current_timestamp"),
    ("Przypomnij mi o spotkaniu", "create_calendar_event"),
    ("Bana yarın hatırlat", "create_calendar_event"),
    ("كم الساعة الآن؟", "get_current_timestamp"),
    ("मुझे कल याद दिलाना", "create_calendar_event"),
];

const PLAIN: &[&str] = &[
    "Hello, this is turn one.",
    "This is turn 2.",
    "This is turn 3.\nSecond line with ünïcode — and \"quotes\".",
    "This is turn 4.",
    "This is turn 5.",
    "This is turn 6.",
    "How do heat pumps work?",
    "Write a poem about the sea.",
    "What is the capital of France?",
    "Explain this Rust code to me: fn main() {}",
    "Wie funktioniert eine Wärmepumpe?",
    "How much time does it take to boil an egg?",
    "Please note that I am a beginner. What is a list comprehension?",
    "In the event of a fire, what should I do first?",
    "Explain the PNG file format",
    "What is a knowledge graph?",
    "My memory is getting bad, any tips?",
    "Write a title for this chat",
    "Improve this text: we updated the page and deleted the old one",
    "How do I delete a row in SQL?",
    "List the planets of the solar system",
    "Write a binary search in Python",
    "What happened 3 days ago in 1969?",
    "Plan 3 days in Rome",
    "How many seconds are in a year?",
    "What is the current president's name?",
    "Explain Unix pipes",
    "How do I calculate compound interest?",
    "Can you create a logo idea for a bakery?",
    "Give me ideas for a birthday event",
    "What does regex \\d+ match?",
    "How do I read a CSV file in pandas?",
    "I moved here two years ago, how do I register my car?",
    "Tell me a story about a dragon who finds an exact copy of himself",
    "What's the difference between content and context?",
    "Translate to German: the schedule is tight",
    "Draft an email to my team about the new schedule",
    "Summarize the following text: The meeting was long and people left early.",
    "Why is the sky blue?",
    "Rewrite this paragraph in a friendlier tone",
    "Debug: error: expected identifier, found `)`",
    "What is semantic search?",
    "Explain vector databases",
    "Generate a workout plan for a week",
    "What are good preferences for a monitor?",
    "Who wrote Hamlet?",
    "Was ist der Unterschied zwischen TCP und UDP?",
    "Schreibe ein Gedicht über den Herbst",
    "Wie lange kocht man Eier?",
    "Comment faire une pâte brisée ?",
    "¿Cuál es la capital de Bolivia?",
    "宇宙有多大？",
    "如何学习做饭？",
    "Сколько звёзд в Млечном Пути?",
    "日本で一番高い山は？",
    "كيف حالك اليوم؟",
    "Describe this picture",
    "What is in this image?",
    "Continue",
    "More Concise",
    "Thanks!",
    "Why?",
    "yes",
    "Compute 17 * 23",
    "Draw a fox.",
    "Make it shorter",
    "What did Napoleon do after that?",
    "How do I type faster?",
    "Which path leads to Rome?",
    "Give me a list of books about habits",
    "explain quantum entanglement to a child",
    "what is the best time to visit japan",
    "write a cover letter for a job as project manager",
    "how do i remember names better",
    "What is the meaning of life?",
    "Summarise the plot of Dune",
    "Give me a recipe for lentil soup",
    "Fix this: `for i in range(10) print(i)`",
    "Which is faster, Rust or Go?",
    "How tall is Mount Everest?",
    "What should I cook tonight?",
    "Explain the theory of relativity in one paragraph",
    "Write a birthday card for my mum",
    "Convert 10 miles to km",
    "What's a good name for a cat?",
    "How do vaccines work?",
    "Tell me about the history of the calendar",
    "What are the side effects of ibuprofen?",
    "Give me feedback on this essay: ...",
    "How does a search engine work?",
    "Who invented the alarm clock?",
    "Suggest a title for my podcast",
    "What is the plural of index?",
    "Compare Kant and Hume",
    "Erkläre mir die Relativitätstheorie",
    "Was kostet ein Elektroauto?",
    "Übersetze: good morning",
    "Quel est le plus long fleuve du monde ?",
    "Explique la photosynthèse",
    "¿Cómo se hace una tortilla?",
    "Dime un chiste",
    "Come funziona un motore?",
    "Расскажи анекдот",
    "Почему небо голубое?",
    "推荐一本书",
    "写一首关于春天的诗",
    "笔记本电脑怎么选？",
    "おすすめの映画は？",
    "ノートパソコンの選び方",
    "노트북 추천해 줘",
    "여행 일정 짜줘",
    "Hoeveel inwoners heeft Utrecht?",
    "Jaka jest stolica Australii?",
    "En iyi kahve hangisi?",
    "ما هي عاصمة كندا؟",
    "भारत की राजधानी क्या है?",
    "I had a meeting with my boss and it went badly, what should I say to him?",
    "The event loop in JavaScript: how does it work?",
    "What's the difference between a file and a directory?",
    "My code throws an error on line 3",
    "Second question: what about the other one?",
    "Can you explain the last point again?",
    "In your previous answer you said 5. Why?",
    "Use bullet points",
    "I think you are wrong",
    "What model are you?",
    "How many tokens can you read?",
    "Make a table of the planets with their moons",
    "Create a Python class for a bank account",
    "Delete the last sentence",
    "List three reasons",
    "Update the code to use async",
    "What does the path variable do?",
    "Write unit tests for this function",
    "What time zone is Bergen in?",
    "How long is a marathon?",
    "At what time of year do tulips bloom?",
];
