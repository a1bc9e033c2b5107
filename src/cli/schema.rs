//! `hufu schema`: what editors need to complete and check a configuration.

use clap::Args;

use crate::config::schema;

/// Print the JSON Schema of hufu.toml, for editors
///
/// `hufu init` writes it beside hufu.toml, whose first line names it. taplo and Even Better TOML
/// (VS Code) use it. After an upgrade: `hufu schema > hufu.schema.json`.
#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {}

pub(crate) fn run(_args: &SchemaArgs) -> anyhow::Result<()> {
    super::print(&text())
}

/// The schema as it is written.
pub(super) fn text() -> String {
    format!("{:#}\n", schema::schema())
}
