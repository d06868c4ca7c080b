// Not form.submit, which a field of that name would hide.
document.querySelector('form button').click();
