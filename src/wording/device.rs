//! What a browser calls itself, as its owner would say it. Knows only a small table, and guesses nothing beyond it.

/// "Firefox on Windows" from a `User-Agent`; `None` if the table knows neither the browser nor the system.
pub fn device(user_agent: &str) -> Option<String> {
    let known = |table: &[(&str, &'static str)]| {
        table.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    if let Some((_, program)) = PROGRAMS.iter().find(|(mark, _)| user_agent.starts_with(mark)) {
        return Some((*program).to_owned());
    }
    match (known(BROWSERS), known(SYSTEMS)) {
        (Some(browser), Some(system)) => Some(format!("{browser} on {system}")),
        (Some(browser), None) => Some(browser.to_owned()),
        (None, Some(system)) => Some(format!("A browser on {system}")),
        (None, None) => None,
    }
}

/// What stands for a browser, the one that names the others too before those it names.
const BROWSERS: &[(&str, &str)] = &[
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("OPT/", "Opera"),
    ("OPX/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex Browser"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("Ddg/", "DuckDuckGo"),
    ("Focus/", "Firefox Focus"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Chrome without a window"),
    ("Chrome/", "Chrome"),
    ("Epiphany/", "GNOME Web"),
    ("Safari/", "Safari"),
    ("Trident/", "Internet Explorer"),
];

/// What stands for a system, the one that names another too before that.
const SYSTEMS: &[(&str, &str)] = &[
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("FreeBSD", "FreeBSD"),
    ("OpenBSD", "OpenBSD"),
    ("Linux", "Linux"),
    ("X11", "Linux"),
];

/// Programs that are no browsers, by what they begin with.
const PROGRAMS: &[(&str, &str)] = &[
    ("curl/", "curl"),
    ("Wget/", "Wget"),
    ("python-requests/", "A Python program"),
    ("Go-http-client/", "A Go program"),
    ("okhttp/", "An Android app"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_told_as_its_owner_would() {
        const MAC: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/";
        const WINDOWS: &str =
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)";
        const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15";
        const ANDROID: &str = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko)";
        for (user_agent, told) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0",
                "Firefox on Windows",
            ),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox on Linux"),
            ("Mozilla/5.0 (Android 14; Mobile; rv:128.0) Gecko/128.0 Firefox/128.0", "Firefox on Android"),
            (&format!("{MAC}605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15"), "Safari on macOS"),
            (&format!("{MAC}537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36"), "Chrome on macOS"),
            (&format!("{WINDOWS} Chrome/124.0.0.0 Safari/537.36"), "Chrome on Windows"),
            (&format!("{WINDOWS} Chrome/124.0.0.0 Safari/537.36 Edg/124.0.0.0"), "Edge on Windows"),
            (&format!("{WINDOWS} Chrome/124.0.0.0 Safari/537.36 OPR/110.0.0.0"), "Opera on Windows"),
            (&format!("{ANDROID} Chrome/124.0.0.0 Mobile Safari/537.36"), "Chrome on Android"),
            (
                &format!("{ANDROID} SamsungBrowser/24.0 Chrome/117.0.0.0 Mobile Safari/537.36"),
                "Samsung Internet on Android",
            ),
            (&format!("{ANDROID} Chrome/124.0.0.0 Mobile Safari/537.36 EdgA/124.0.0.0"), "Edge on Android"),
            (
                &format!("{PHONE} (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1"),
                "Safari on iPhone",
            ),
            (
                &format!("{PHONE} (KHTML, like Gecko) CriOS/124.0.6367.88 Mobile/15E148 Safari/604.1"),
                "Chrome on iPhone",
            ),
            (
                &format!("{PHONE} (KHTML, like Gecko) FxiOS/125.1 Mobile/15E148 Safari/605.1.15"),
                "Firefox on iPhone",
            ),
            (
                "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 Chrome/124.0.0.0 Safari/537.36",
                "Chrome on ChromeOS",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/124.0.0.0 Safari/537.36",
                "Chrome without a window on Linux",
            ),
            ("Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko", "Internet Explorer on Windows"),
            ("Mozilla/5.0 (Linux) Something/1.0", "A browser on Linux"),
            ("Firefox/1.0", "Firefox"),
            ("curl/8.5.0", "curl"),
            ("curl/8.5.0 (Linux) Firefox/1", "curl"),
        ] {
            assert_eq!(device(user_agent).as_deref(), Some(told), "{user_agent}");
        }
        for unknown in ["", "Something/1.0", "firefox", "<script>"] {
            assert_eq!(device(unknown), None, "{unknown}");
        }
    }
}
