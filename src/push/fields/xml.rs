//! The fields of a message in XML. Nothing that refers to something else is followed: a document
//! type, an entity of its own or a processing instruction makes it unreadable.

use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};

use super::Unreadable;

/// Deeper than any message goes.
const DEPTH_MAX: usize = 16;

/// Reads the children of the one root element, each with its own text.
pub(super) fn children(
    text: &str,
    mut note: impl FnMut(&str, String) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    let mut reader = Reader::from_str(text);
    let mut depth = 0_usize;
    let mut roots = 0_usize;
    // The child of the root that is being read, and its text so far.
    let mut child: Option<(String, String)> = None;
    loop {
        match reader.read_event().map_err(|_| Unreadable)? {
            Event::Start(start) => {
                depth += 1;
                roots += usize::from(depth == 1);
                if depth > DEPTH_MAX || roots > 1 {
                    return Err(Unreadable);
                }
                if depth == 2 {
                    child = Some((start.name().into_inner().to_owned(), String::new()));
                }
            }
            Event::End(_) => {
                if depth == 2
                    && let Some((name, value)) = child.take()
                {
                    note(&name, value)?;
                }
                depth = depth.checked_sub(1).ok_or(Unreadable)?;
            }
            Event::Empty(empty) => {
                roots += usize::from(depth == 0);
                if depth == 1 {
                    note(empty.name().into_inner(), String::new())?;
                }
            }
            Event::Text(text) => written(&text.xml10_content(), depth, &mut child)?,
            Event::CData(text) => written(&text.xml10_content(), depth, &mut child)?,
            Event::GeneralRef(reference) => {
                written(
                    referred(&reference)?.encode_utf8(&mut [0; 4]),
                    depth,
                    &mut child,
                )?;
            }
            Event::DocType(_) | Event::PI(_) => return Err(Unreadable),
            Event::Decl(_) | Event::Comment(_) => {}
            Event::Eof => break,
        }
    }
    if depth == 0 && roots == 1 {
        Ok(())
    } else {
        Err(Unreadable)
    }
}

/// Outside the root only white space may stand. Text below a child's own children is not its own.
fn written(
    text: &str,
    depth: usize,
    child: &mut Option<(String, String)>,
) -> Result<(), Unreadable> {
    match (depth, child) {
        (0, _) if !text.trim_ascii().is_empty() => Err(Unreadable),
        (2, Some((_, value))) => {
            value.push_str(text);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The characters that XML itself has names for, and those with a number.
fn referred(reference: &BytesRef<'_>) -> Result<char, Unreadable> {
    if let Some(named) = reference.resolve_char_ref().map_err(|_| Unreadable)? {
        return Ok(named);
    }
    match &*reference.xml10_content() {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => Err(Unreadable),
    }
}
