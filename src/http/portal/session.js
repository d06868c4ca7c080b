// Keeps the sign-in of a page alive while somebody looks at it, and tells once when it has ended.
// <script src="https://auth.example.com/.foregate/session.js" defer></script>
// Each answer is a "foregate-session" event of the document; its detail is the answer, or null when signed out.
(() => {
  const at = document.currentScript.src.replace(/\.js([?#].*)?$/, "");
  let timer, bar;

  const tell = (detail) => document.dispatchEvent(new CustomEvent("foregate-session", { detail }));

  function ended(address) {
    tell(null);
    if (bar) return;
    bar = document.createElement("div");
    const link = document.createElement("a");
    bar.setAttribute("role", "alert");
    bar.style.cssText = "position:fixed;inset:auto 0 0;z-index:2147483647;padding:.75rem 1rem;text-align:center;" +
      "font:1rem system-ui,sans-serif;background:#1d2433;color:#fff";
    link.style.cssText = "color:#fff;font-weight:600;text-decoration:underline";
    link.href = address;
    link.textContent = "Sign in again";
    bar.append("Your sign-in has ended. ", link);
    document.body.append(bar);
  }

  async function look() {
    clearTimeout(timer);
    if (document.hidden) return;
    let wait = 60;
    try {
      const answer = await fetch(at + "?rd=" + encodeURIComponent(location.href), { credentials: "include" });
      const told = await answer.json();
      if (answer.ok) {
        if (bar) bar.remove();
        bar = null;
        tell(told);
        wait = Math.max(15, Math.min(300, told.expires_in / 2));
      } else if (answer.status === 401) {
        ended(told.sign_in_url);
      }
    } catch { /* Out of reach for the moment. */ }
    timer = setTimeout(look, wait * 1000);
  }

  document.addEventListener("visibilitychange", look);
  look();
})();
