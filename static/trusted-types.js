// Every page's policy asks for Trusted Types: a string becomes markup only through here, and code not at all. Markup is
// let through, because it comes from the portal's own templates, and a script in it has no nonce and does not run.
// Must be the first script of a page.
"use strict";

window.trustedTypes?.createPolicy("default", { createHTML: (markup) => markup });
