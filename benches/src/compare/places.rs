//! Where a receiver listens, inserts and keeps things: filled into its command line and its configuration.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::sink::Sink;

/// What one start of a receiver is told.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) otlp_grpc: SocketAddr,
    pub(crate) otlp_http: SocketAddr,
    pub(crate) clickhouse_native: SocketAddr,
    pub(crate) clickhouse_http: SocketAddr,
    pub(crate) folder: PathBuf,
    /// The file that was filled in.
    pub(crate) file: Option<PathBuf>,
}

impl Places {
    /// Ports that are free now: nobody can keep them for a process that takes addresses and no sockets.
    pub(crate) fn new(sink: &Sink, folder: &Path) -> Result<Self> {
        let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let [grpc, http] = listeners.map(|listener| listener?.local_addr());
        Ok(Places {
            otlp_grpc: grpc?,
            otlp_http: http?,
            clickhouse_native: sink.native(),
            clickhouse_http: sink.http(),
            folder: folder.to_owned(),
            file: None,
        })
    }

    /// Fills in a copy of `template`, in the folder.
    pub(crate) fn fill_file(&mut self, template: &Path) -> Result<()> {
        let said = || format!("{} cannot be filled in", template.display());
        let text = std::fs::read_to_string(template).with_context(said)?;
        let name = template.file_name().with_context(said)?;
        let file = self.folder.join(name);
        std::fs::write(&file, self.fill(&text)).with_context(said)?;
        self.file = Some(file);
        Ok(())
    }

    /// The text with its placeholders filled in. Other braces stay: configurations have their own.
    pub(crate) fn fill(&self, text: &str) -> String {
        let file = self.file.as_deref().unwrap_or(&self.folder);
        [
            ("{otlp_grpc}", self.otlp_grpc.to_string()),
            ("{otlp_http}", self.otlp_http.to_string()),
            ("{clickhouse_native}", self.clickhouse_native.to_string()),
            ("{clickhouse_http}", self.clickhouse_http.to_string()),
            ("{folder}", self.folder.display().to_string()),
            ("{file}", file.display().to_string()),
        ]
        .into_iter()
        .fold(text.to_owned(), |text, (name, value)| {
            text.replace(name, &value)
        })
    }
}
