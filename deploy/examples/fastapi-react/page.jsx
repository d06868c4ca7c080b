// The page: who I am, my tenants, and the notes of one of them. foregate tells who I am; nothing is kept here.

import { useCallback, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";

const kept = () => sessionStorage.getItem("tenant") ?? "";

/** Calls the app in the tenant that was chosen. Without a session it leads to the sign-in, and back to this page. */
async function call(path, options = {}) {
  const headers = { Accept: "application/json", "X-Tenant-ID": kept() };
  if (options.body) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { ...options, headers });
  if (answer.status === 401) location.assign((await answer.json()).sign_in_url);
  if (answer.status === 403) throw new Error(`You may not: ${(await answer.json()).missing.join(", or ")} is missing.`);
  if (!answer.ok) throw new Error(`The app said ${answer.status}.`);
  return answer.status === 204 ? null : answer.json();
}

function Page() {
  const [me, setMe] = useState(null);
  const [notes, setNotes] = useState([]);
  const [text, setText] = useState("");
  const [trouble, setTrouble] = useState("");

  const attempt = useCallback(async (work) => {
    setTrouble("");
    try { await work(); } catch (error) { setTrouble(error.message); }
  }, []);
  const load = useCallback(() => attempt(async () => {
    setMe(await call("/.foregate/session"));
    setNotes(await call("/api/notes"));
  }), [attempt]);
  useEffect(() => { load(); }, [load]);
  // session.js tells when the session is over.
  useEffect(() => {
    const told = (event) => { if (event.detail === null) setMe(null); };
    document.addEventListener("foregate-session", told);
    return () => document.removeEventListener("foregate-session", told);
  }, []);

  const choose = (tenant) => { sessionStorage.setItem("tenant", tenant); load(); };
  const add = (event) => {
    event.preventDefault();
    attempt(async () => {
      await call("/api/notes", { method: "POST", body: JSON.stringify({ text }) });
      setText("");
      await load();
    });
  };
  const remove = (id) => attempt(async () => { await call(`/api/notes/${id}`, { method: "DELETE" }); await load(); });

  if (!me) return <p id="nobody">{trouble || "Nobody is signed in."}</p>;
  return (
    <main>
      <p id="who">
        {me.name || me.user} in {me.tenant ?? "no tenant"}; roles: {me.roles.join(", ") || "none"}.{" "}
        <a id="out" href="/.foregate/sign-out">Sign out</a>
      </p>
      <p>
        <label>Tenant{" "}
          <select id="tenant" value={me.tenant ?? ""} onChange={(event) => choose(event.target.value)}>
            {me.tenants.map((tenant) => <option key={tenant}>{tenant}</option>)}
          </select>
        </label>
      </p>
      <ul id="notes">
        {notes.map((note) => (
          <li key={note.id}>
            {note.text} ({note.author}) <button className="remove" onClick={() => remove(note.id)}>Delete</button>
          </li>
        ))}
      </ul>
      <form onSubmit={add}>
        <input id="text" value={text} onChange={(event) => setText(event.target.value)} required />{" "}
        <button id="add">Add</button>
      </form>
      <p id="trouble" role="alert">{trouble}</p>
      <p><a id="docs" href="/api/docs">The API</a></p>
    </main>
  );
}

createRoot(document.getElementById("page")).render(<Page />);
