// Made by infra/portal/build.
&[
    File { name: "assets/app-c979e41bc9e9.js", content_type: "text/javascript; charset=utf-8", plain: include_bytes!("assets/app-c979e41bc9e9.js"), brotli: include_bytes!("assets/app-c979e41bc9e9.js.br") },
    File { name: "assets/charts-7365868a70c6.js", content_type: "text/javascript; charset=utf-8", plain: include_bytes!("assets/charts-7365868a70c6.js"), brotli: include_bytes!("assets/charts-7365868a70c6.js.br") },
    File { name: "assets/icon-08ed77fe411c.svg", content_type: "image/svg+xml", plain: include_bytes!("assets/icon-08ed77fe411c.svg"), brotli: include_bytes!("assets/icon-08ed77fe411c.svg.br") },
    File { name: "assets/style-98e425ec5fb1.css", content_type: "text/css; charset=utf-8", plain: include_bytes!("assets/style-98e425ec5fb1.css"), brotli: include_bytes!("assets/style-98e425ec5fb1.css.br") },
    File { name: "index.html", content_type: "text/html; charset=utf-8", plain: include_bytes!("index.html"), brotli: include_bytes!("index.html.br") },
]
