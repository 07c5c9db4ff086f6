// Made by infra/portal/build.
&[
    File { name: "assets/app-898b97870d23.js", content_type: "text/javascript; charset=utf-8", plain: include_bytes!("assets/app-898b97870d23.js"), brotli: include_bytes!("assets/app-898b97870d23.js.br") },
    File { name: "assets/charts-7365868a70c6.js", content_type: "text/javascript; charset=utf-8", plain: include_bytes!("assets/charts-7365868a70c6.js"), brotli: include_bytes!("assets/charts-7365868a70c6.js.br") },
    File { name: "assets/icon-08ed77fe411c.svg", content_type: "image/svg+xml", plain: include_bytes!("assets/icon-08ed77fe411c.svg"), brotli: include_bytes!("assets/icon-08ed77fe411c.svg.br") },
    File { name: "assets/style-7f81c2270e87.css", content_type: "text/css; charset=utf-8", plain: include_bytes!("assets/style-7f81c2270e87.css"), brotli: include_bytes!("assets/style-7f81c2270e87.css.br") },
    File { name: "index.html", content_type: "text/html; charset=utf-8", plain: include_bytes!("index.html"), brotli: include_bytes!("index.html.br") },
]
