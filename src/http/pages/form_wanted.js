try {
  const kept = sessionStorage.getItem('foregate-kept-form');
  sessionStorage.removeItem('foregate-kept-form');
  if (kept) {
    document.querySelector('main').hidden = true;
    document.querySelector('[name=kept]').value = kept;
    document.querySelector('form').submit();
  }
} catch {
  // Storage is forbidden, so there is nothing in it.
}
