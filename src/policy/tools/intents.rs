//! What people say when they want something done, in their own words and languages.
//!
//! Names and descriptions of tools are English, and so technical that few questions share words with them: nobody asks
//! for a timestamp. These phrases are for what chat clients offer: notes, memories, a calendar, earlier chats.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

/// Something that people want done.
#[derive(Debug)]
pub(super) struct Intent {
    /// Words of the names of tools that do it.
    pub(super) names: &'static [&'static str],
    /// Words of descriptions of tools that do it, whatever their names.
    pub(super) described: &'static [&'static str],
    /// With what the name of a tool begins that does it best, e.g. `add`.
    pub(super) verbs: &'static [&'static str],
    /// What people say, in small letters, parted by `|`. It begins a word, except in scripts that have no spaces.
    phrases: &'static str,
}

/// What a verb says of any tool.
const fn doing(verbs: &'static [&'static str], phrases: &'static str) -> Intent {
    Intent {
        names: &[],
        described: &[],
        verbs,
        phrases,
    }
}

pub(super) const INTENTS: &[Intent] = &[
    Intent {
        names: &["reminder", "reminders", "alarm"],
        described: &["reminder"],
        verbs: &["create"],
        phrases: "remind me|a reminder|reminder to|reminder for|set an alarm|alarm for|alarm at|\
            erinner mich|erinnere mich|erinnerung an|wecker auf|rappelle-moi|rappelle moi|recuérdame|\
            recordatorio|ricordami|promemoria|me lembre|lembre-me|lembrete|herinner me|herinnering|\
            przypomnij|напомн|нагада|připomeň|påminn|hatırlat|提醒|リマインド|リマインダー|알림|\
            상기시켜|ذكّرني|ذكرني|تذكير|याद दिला|nhắc tôi",
    },
    Intent {
        names: &["calendar", "calendars", "appointment"],
        described: &[],
        verbs: &[],
        phrases: "my calendar|our calendar|to the calendar|in the calendar|on the calendar|calendar event|an appointment|my appointment|\
            my events|cancel the event|schedule a meeting|mein kalender|meinem kalender|\
            meinen kalender|im kalender|in den kalender|termin am|termin mit|termin um|mon calendrier|\
            mon agenda|mi calendario|mi agenda|mio calendario|mia agenda|meu calendário|minha agenda|\
            mijn agenda|kalendarz|календар|kalendáře|kalender|takvim|日历|行事曆|我的日程|カレンダー|\
            予定表|캘린더|내 일정|تقويم|कैलेंडर|lịch của tôi",
    },
    Intent {
        names: &["note", "notes"],
        described: &[],
        verbs: &[],
        phrases: "my note|our note|a note|the note about|new note|notes about|notes for|search notes|\
            notiz|mes notes|une note|mis notas|una nota|mie note|minhas notas|uma nota|notitie|notatk|\
            заметк|нотатк|poznám|anteckning|notlarım|我的笔记|笔记里|记笔记|我的筆記|メモ|메모|\
            내 노트|ملاحظات|नोट्स|ghi chú",
    },
    Intent {
        names: &["memory", "memories"],
        described: &[],
        verbs: &["list"],
        phrases: "my memories|know about me|remember about me|weißt du über mich|que sais-tu de moi|\
            sabes de mí|sai di me|sabe sobre mim|знаешь обо мне|знаєш про мене|知道我什么|私について|\
            나에 대해",
    },
    Intent {
        names: &["memory", "memories"],
        described: &[],
        verbs: &["add"],
        phrases: "remember that i|remember that my|remember this|remember my|remember: |keep in mind that|\
            to memory|to your memory|merk dir|merke dir|souviens-toi|retiens que|recuerda que|\
            ricorda che|ricordati che|lembre-se|lembra que|onthoud|zapamiętaj|запомни|запам'ятай|\
            zapamatuj|kom ihåg att|bunu hatırla|记住|記住|覚えて|기억해|تذكر أن|याद रख|hãy nhớ",
    },
    Intent {
        names: &["memory", "memories"],
        described: &[],
        verbs: &["delete"],
        phrases: "forget that|forget what|forget my|vergiss|oublie que|olvida que|dimentica che|esqueça que|\
            vergeet|zapomnij|забудь|忘记|忘掉|忘れて|잊어",
    },
    Intent {
        names: &["timestamp", "time", "datetime", "clock"],
        described: &[],
        verbs: &["get"],
        phrases: "what time is it|what time it is|what's the time|current time|time now|today's date|\
            current date|what day is it|what date is it|uhrzeit|wie spät|welcher tag ist|\
            welches datum|quelle heure est|quel jour|qué hora es|qué día es|che ora è|che ore sono|\
            che giorno è|que horas são|que dia é|hoe laat|która godzina|который час|сколько времени|\
            котра година|kolik je hodin|vad är klockan|saat kaç|几点了|现在几点|幾點|今何時|\
            何時ですか|몇 시|كم الساعة|कितने बजे|mấy giờ rồi",
    },
    Intent {
        names: &["chat", "chats", "conversations"],
        described: &[],
        verbs: &["search"],
        phrases: "my chats|old chats|past chats|previous chats|other chats|earlier chats|my conversations|\
            past conversations|previous conversation|earlier conversation|last conversation|\
            find the conversation|the conversation where|we talk about|we talked|we discussed|\
            we discuss|meinen chats|früheren gespräch|frühere gespräch|letzten gespräch|\
            conversations précédentes|mes discussions|conversación anterior|conversaciones anteriores|\
            conversazioni precedenti|conversas anteriores|прошлых разгов|прошлой бесед|наших чатах|\
            之前的聊天|聊天记录|聊天記錄|以前の会話|이전 대화|المحادثات السابقة",
    },
    Intent {
        names: &["knowledge", "document", "documents"],
        described: &[],
        verbs: &[],
        phrases: "knowledge base|wissensdatenbank|wissensbasis|base de connaissances|base de conocimiento|\
            base di conoscenza|base de conhecimento|kennisbank|baza wiedzy|bazie wiedzy|база знаний|\
            базе знаний|базу знаний|知识库|知識庫|ナレッジベース|知識ベース|지식 베이스|قاعدة المعرفة",
    },
    Intent {
        names: &["file", "files", "document", "documents"],
        described: &[],
        verbs: &[],
        phrases: "my files|my documents|uploaded file|meinen dateien|meine dateien|mes fichiers|\
            mis archivos|i miei file|meus arquivos|mijn bestanden|moich plik|моих файл|我的文件|\
            マイファイル|내 파일|ملفاتي",
    },
    Intent {
        names: &["automation", "automations", "schedule", "cron"],
        described: &[],
        verbs: &["create"],
        phrases: "every day at|every morning at|every evening at|every monday at|every week on|\
            automatisierung|automatisch jeden|jeden tag um|jeden morgen um|automatisation|\
            chaque jour à|chaque matin à|automatización|todos los días a las|cada mañana a las|\
            automazione|ogni giorno alle|automação|todos os dias às|elke dag om|codziennie o|\
            автоматизац|каждый день в|щодня о|自动化|自動化|定时|定期的に|자동화|매일 아침",
    },
    Intent {
        names: &["task", "tasks", "todo", "todos"],
        described: &[],
        verbs: &["create"],
        phrases: "to-do list|todo list|task list|aufgabenliste|liste de tâches|lista de tareas|\
            lista de tarefas|takenlijst|lista zadań|список задач|待办|待辦|やることリスト|할 일 목록",
    },
    Intent {
        names: &["weather", "forecast"],
        described: &["weather"],
        verbs: &[],
        phrases: "wetter|météo|el tiempo en|pronóstico|che tempo|previsão do tempo|het weer in|pogoda|\
            pogodę|погод|počasí|väder|hava durumu|天气|天氣|天気|날씨|طقس|मौसम|thời tiết",
    },
    Intent {
        names: &["image", "picture", "images"],
        described: &[],
        verbs: &["generate"],
        phrases: "draw a|draw me|a picture of|an image of|zeichne|ein bild von|dessine|une image de|dibuja|\
            una imagen de|disegna|desenhe|teken een|narysuj|нарисуй|намалюй|nakresli|rita en|çiz|画一|\
            画个|畫一|描いて|그려|ارسم",
    },
    Intent {
        names: &["web", "internet", "url"],
        described: &["internet"],
        verbs: &["search"],
        phrases: "on the web|search online|look it up online|the latest news|im internet|im netz|\
            sur internet|en internet|su internet|na internet|op internet|в интернете|в інтернеті|上网|\
            网上|網路上|ネットで|인터넷에서|على الإنترنت",
    },
    doing(
        &["search", "query", "find"],
        "suche|cherche|recherche|busca|cerca |procura|pesquis|zoek|szukaj|znajdź|найди|поищи|\
            знайди|hledej|sök|搜索|查找|搜尋|検索|探して|검색|찾아|ابحث|खोज|tìm ",
    ),
    doing(
        &["create", "add", "write"],
        "add|put|create|schedule|save|write down|eintragen|trag|erstell|speicher|schreib|ajoute|crée|note que|\
            añade|agrega|crea|guarda|apunta|aggiungi|segna|adicion|crie|anote|zet |voeg|maak|dodaj|utwórz|zapisz|\
            добавь|создай|запиши|додай|створи|přidej|vytvoř|lägg till|skapa|ekle|oluştur|添加|新增|创建|记下|建立|追加|\
            作成|추가|만들어|أضف|أنشئ|जोड़|बनाओ|thêm|tạo",
    ),
    doing(
        &["update", "replace", "edit", "move"],
        "change|update|edit|move|rename|reschedule|postpone|correct|änder|verschieb|umbenenn|korrigier|modifi|change|déplace|\
            cambia|actualiza|mueve|sposta|altere|mude|wijzig|verplaats|zmień|przesuń|измени|перенеси|обнови|зміни|změň|\
            ändra|flytta|değiştir|修改|更改|改成|更新|変更|変えて|변경|수정|غيّر|عدّل|बदल|sửa",
    ),
    doing(
        &["toggle", "pause", "enable", "disable"],
        "turn off|turn on|pause|resume|disable|enable|ausschalt|einschalt|pausier|désactiv|activ|desactiv|disattiv|\
            attiva|uitschakel|wyłącz|włącz|выключ|включ|вимкн|увімкн|vypn|zapn|stäng av|kapat|暂停|关闭|停止|一時停止|\
            중지|أوقف",
    ),
    doing(
        &["delete", "remove"],
        "remove|cancel|lösch|supprim|efface|borra|elimina|cancella|apaga|verwijder|usuń|удали|\
            видали|smaž|ta bort|删除|刪除|削除|삭제|احذف|xóa",
    ),
];

/// All phrases, and for each the place of its intent.
struct Phrases {
    automaton: AhoCorasick,
    owners: Vec<(usize, &'static str)>,
}

static PHRASES: LazyLock<Option<Phrases>> = LazyLock::new(|| {
    let owners: Vec<(usize, &'static str)> = INTENTS
        .iter()
        .enumerate()
        .flat_map(|(at, intent)| intent.phrases.split('|').map(move |phrase| (at, phrase)))
        .collect();
    let automaton = AhoCorasick::new(owners.iter().map(|(_, phrase)| phrase)).ok()?;
    Some(Phrases { automaton, owners })
});

/// The intents of a text, as their places in [`INTENTS`], each with the phrase that shows it.
pub(super) fn of(text: &str) -> Vec<(usize, &'static str)> {
    let Some(phrases) = PHRASES.as_ref() else {
        return Vec::new();
    };
    let text = text.to_lowercase();
    let mut found: Vec<(usize, &'static str)> = Vec::new();
    for hit in phrases.automaton.find_overlapping_iter(text.as_str()) {
        let Some((owner, phrase)) = phrases.owners.get(hit.pattern().as_usize()).copied() else {
            continue;
        };
        let before = text
            .get(..hit.start())
            .and_then(|before| before.chars().next_back());
        let dense = phrase.starts_with(|c: char| c >= '\u{2e80}');
        let begins = dense || before.is_none_or(|before| !before.is_alphanumeric());
        if begins && !found.iter().any(|(known, _)| *known == owner) {
            found.push((owner, phrase));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_begin_words_where_there_are_words() {
        let phrases =
            |text: &str| -> Vec<&str> { of(text).into_iter().map(|(_, phrase)| phrase).collect() };
        assert_eq!(phrases("REMIND ME of it"), ["remind me"]);
        assert_eq!(phrases("Напомни мне"), ["напомн"]);
        assert_eq!(phrases("明天提醒我"), ["提醒"]);
        assert_eq!(phrases("a verwetterte Mauer"), [""; 0]);
        assert_eq!(phrases("Wie ist das Wetter?"), ["wetter"]);
    }

    /// What is not in small letters would never be found.
    #[test]
    fn phrases_are_in_small_letters() {
        for phrase in INTENTS.iter().flat_map(|intent| intent.phrases.split('|')) {
            assert!(!phrase.trim().is_empty());
            assert_eq!(phrase, phrase.to_lowercase());
        }
    }
}
