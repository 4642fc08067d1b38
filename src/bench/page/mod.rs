//! The report as one HTML page, with who had the NPU when as a picture.

mod picture;

use std::fmt::{self, Write as _};

use super::{
    Kind, Outcome, Script,
    goals::Verdict,
    table::{SUMS, at_speed, cells, named},
};
use picture::Scale;

/// Writes the page.
#[must_use]
pub fn html(script: &Script, outcome: &Outcome, verdicts: &[Verdict]) -> String {
    let mut page = String::new();
    // Writing to a string does not fail.
    let _ = write(script, outcome, verdicts, &mut page);
    page
}

fn write(
    script: &Script,
    outcome: &Outcome,
    verdicts: &[Verdict],
    page: &mut String,
) -> fmt::Result {
    let title = escaped(&script.title);
    write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\n<style>{}</style>\n\
         <h1>{title}</h1>\n<p>{} on a simulated board, {}.</p>\n",
        include_str!("page.css"),
        escaped(&outcome.model),
        at_speed(outcome.speed),
    )?;
    page.push_str("<h2>Who had the NPU when</h2>\n<p class=\"key\">");
    for kind in KINDS {
        write!(page, "<span class=\"{0}\">{0}</span> ", kind.as_str())?;
    }
    page.push_str("<span class=\"wait\">waiting</span> The dark part of a turn is the reading of its prompt, <span class=\"again\">red</span> what \
         the KV cache had held before.</p>\n");
    let plays = || {
        [&outcome.ours, &outcome.naive]
            .into_iter()
            .chain(&outcome.alone)
    };
    let length = plays()
        .map(|play| play.sums().length)
        .max()
        .unwrap_or_default();
    let scale = Scale::of(length);
    for play in plays() {
        write!(
            page,
            "<h3>{}</h3>\n<div class=\"picture\">",
            escaped(&play.name)
        )?;
        picture::draw(script, play, &scale, page)?;
        page.push_str("</div>\n");
    }
    page.push_str("<h2>In sum</h2>\n<table><tr><th>");
    for play in plays() {
        write!(page, "<th>{}", escaped(&play.name))?;
    }
    for (name, figure) in SUMS {
        write!(page, "\n<tr><td>{name}")?;
        for play in plays() {
            write!(page, "<td>{}", figure(&play.sums()))?;
        }
    }
    page.push_str("</table>\n<h2>Goals</h2>\n<table><tr><th>Figure<th>Measured<th>At most<th>");
    for verdict in verdicts {
        write!(
            page,
            "\n<tr><td>{}<td>{}<td>{}<td>{}",
            escaped(&verdict.what),
            escaped(&verdict.measured),
            escaped(&verdict.reference),
            if verdict.held {
                "held"
            } else {
                "<b>missed</b>"
            },
        )?;
    }
    page.push_str("</table>\n<h2>Requests</h2>\n");
    requests(script, outcome, page)?;
    page.push_str("</html>\n");
    Ok(())
}

/// The order of colours in the key.
const KINDS: [Kind; 6] = [
    Kind::Chat,
    Kind::Title,
    Kind::FollowUp,
    Kind::Tags,
    Kind::Query,
    Kind::Embedding,
];

fn requests(script: &Script, outcome: &Outcome, page: &mut String) -> fmt::Result {
    let names = [&outcome.ours.name, &outcome.naive.name].map(|name| escaped(name));
    let [ours, naive] = &names;
    write!(
        page,
        "<table><tr><th rowspan=\"2\">Request<th colspan=\"5\">{ours}<th colspan=\"5\">{naive}\n<tr>"
    )?;
    for _ in names {
        page.push_str("<th>waits<th>first text<th>total<th>tokens read<th>of");
    }
    for (request, like) in outcome.side_by_side() {
        write!(page, "\n<tr><td>{}", escaped(&named(script, request)))?;
        let naive = like
            .map(|like| outcome.naive.figures(like))
            .unwrap_or_default();
        for figures in [outcome.ours.figures(request), naive] {
            for cell in cells(&figures) {
                write!(page, "<td>{cell}")?;
            }
        }
    }
    page.push_str("</table>\n");
    Ok(())
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{
        super::{
            SHIPPED, Turn,
            account::tests::{play, request, turn},
        },
        *,
    };
    use crate::engine::{Miss, Missed};

    #[test]
    fn the_page_shows_each_turn_where_it_was_and_needs_nothing_else() {
        let script = Script::parse(SHIPPED.first().unwrap().1).unwrap();
        let chat = request(Kind::Chat, 0, 1, 2, 10);
        let title = request(Kind::Title, 0, 0, 0, 1);
        let lost = Turn {
            missed: Some(Missed {
                why: Miss::Intruded,
                lost: 40,
            }),
            ..turn(&chat, 1, 5, 100, 0)
        };
        let requests = vec![title.clone(), chat];
        let ours = play(requests, vec![turn(&title, 0, 1, 50, 0), lost]);
        let outcome = Outcome {
            model: "a<b".to_owned(),
            speed: 1.0,
            naive: ours.clone(),
            ours,
            alone: Vec::new(),
        };
        let page = html(&script, &outcome, &[]);
        // Ten pixels a second, from second 1 to second 5.
        assert!(page.contains("class=\"chat\" x=\"120.0\" y=\"18\" width=\"40.0\""));
        assert!(page.contains("class=\"read\" x=\"120.0\" y=\"18\" width=\"10.0\""));
        // Two fifths of the prompt.
        assert!(page.contains("class=\"again\" x=\"120.0\" y=\"18\" width=\"4.0\""));
        assert!(
            page.contains("40 of them again, because of a task: the model had run something else")
        );
        assert!(page.contains("of these, because of tasks<td>40<td>40"));
        assert!(page.contains("a&lt;b on a simulated board, in real time"));
        assert!(!page.contains("http"));
    }
}
