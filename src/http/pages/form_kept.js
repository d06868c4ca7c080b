try {
  sessionStorage.setItem('foregate-kept-form', document.querySelector('[name=kept]').value);
  location.replace(document.querySelector('a.first').href);
} catch {
  // Storage is full or forbidden: the page says what to do.
}
