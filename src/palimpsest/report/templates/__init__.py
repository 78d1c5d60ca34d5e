"""The templates of the report: `page.html`, `page.css` and a `section_{id}.html` a section; the code digest covers them."""
