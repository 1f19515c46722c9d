//! `demarc sql`

use std::io::Cursor;

use arrow::{ipc::reader::StreamReader, util::pretty::pretty_format_batches};
use reqwest::{Method, header};
use serde_json::json;

use super::{client, print};
use crate::{
    api::sql::ARROW,
    cli::{Format, SqlArgs},
};

pub(crate) async fn run(args: SqlArgs) -> anyhow::Result<()> {
    let request = client::request(&args.target, Method::POST, "/api/v1/sql")
        .json(&json!({"query": args.query}));
    match args.format {
        Format::Json => {
            let data = client::data(&args.target, request).await?;
            print(&format!(
                "{}\n",
                serde_json::to_string_pretty(&data["rows"])?
            ))
        }
        Format::Table => {
            let request = request.header(header::ACCEPT, ARROW);
            let bytes = client::send(&args.target, request).await?.bytes().await?;
            let batches: Result<Vec<_>, _> =
                StreamReader::try_new(Cursor::new(bytes), None)?.collect();
            print(&format!("{}\n", pretty_format_batches(&batches?)?))
        }
    }
}
