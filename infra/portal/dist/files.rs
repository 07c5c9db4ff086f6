// Made by infra/portal/build.
&[
    File { name: "assets/app-32a76ad5f824.js", content_type: "text/javascript; charset=utf-8", plain: include_bytes!("assets/app-32a76ad5f824.js"), brotli: include_bytes!("assets/app-32a76ad5f824.js.br") },
    File { name: "assets/charts-acf7f65f7dce.js", content_type: "text/javascript; charset=utf-8", plain: include_bytes!("assets/charts-acf7f65f7dce.js"), brotli: include_bytes!("assets/charts-acf7f65f7dce.js.br") },
    File { name: "assets/icon-08ed77fe411c.svg", content_type: "image/svg+xml", plain: include_bytes!("assets/icon-08ed77fe411c.svg"), brotli: include_bytes!("assets/icon-08ed77fe411c.svg.br") },
    File { name: "assets/licences-44c470e7cdf0.txt", content_type: "text/plain; charset=utf-8", plain: include_bytes!("assets/licences-44c470e7cdf0.txt"), brotli: include_bytes!("assets/licences-44c470e7cdf0.txt.br") },
    File { name: "assets/style-30f593372688.css", content_type: "text/css; charset=utf-8", plain: include_bytes!("assets/style-30f593372688.css"), brotli: include_bytes!("assets/style-30f593372688.css.br") },
    File { name: "index.html", content_type: "text/html; charset=utf-8", plain: include_bytes!("index.html"), brotli: include_bytes!("index.html.br") },
]
