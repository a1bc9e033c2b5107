//! The two forms of the page: OpenMetrics, in which it is made, and the text format of Prometheus,
//! which everything reads.

use std::fmt;
use std::fmt::Write as _;

/// A form of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Prometheus's own text format, version 0.0.4.
    Text,
}

impl Exposition {
    /// What the page's `Content-Type` says.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The page in the text format. It differs in the lines before the samples: a counter and an info
/// are described under the name of their samples, there is no type `info` or `unknown` and no end
/// mark.
pub(super) fn text(open_metrics: &str) -> Result<String, fmt::Error> {
    let mut page = String::with_capacity(open_metrics.len());
    // The help comes first, but only the type tells the name.
    let mut help = "";
    for line in open_metrics.lines() {
        if let Some(text) = line.strip_prefix("# HELP ") {
            help = text.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|line| line.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                kind => ("", kind),
            };
            write!(
                page,
                "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n"
            )?;
        } else if !line.starts_with('#') {
            page.push_str(line);
            page.push('\n');
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_have_the_names_of_their_samples() {
        let page = "# HELP a Help \\\\ of it.\n# TYPE a counter\na_total{x=\"# TYPE\"} 1\n# HELP b .\n# TYPE b info\nb_info{v=\"1\"} 1\n\
                    # HELP c_seconds C.\n# TYPE c_seconds histogram\n# UNIT c_seconds seconds\nc_seconds_sum 0.0\n# EOF\n";
        let expected = "# HELP a_total Help \\\\ of it.\n# TYPE a_total counter\na_total{x=\"# TYPE\"} 1\n# HELP b_info .\n# TYPE b_info gauge\nb_info{v=\"1\"} 1\n\
                        # HELP c_seconds C.\n# TYPE c_seconds histogram\nc_seconds_sum 0.0\n";
        assert_eq!(text(page).unwrap(), expected);
    }
}
