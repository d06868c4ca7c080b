//! stub
/// stub
pub async fn run(_port: u16, _terminal: bool) -> anyhow::Result<()> {
    Ok(())
}
