"""
Which language a file is written in, judged by its name alone.
"""

from __future__ import annotations

_SUFFIXES = {
    "adb": "Ada", "adoc": "AsciiDoc", "ads": "Ada", "as": "ActionScript",
    "asciidoc": "AsciiDoc", "asm": "Assembly", "astro": "Astro", "awk": "Awk",
    "bash": "Shell", "bat": "Batchfile", "bazel": "Starlark", "bib": "BibTeX",
    "bzl": "Starlark", "c": "C", "cbl": "COBOL", "cc": "C++", "cfg": "INI",
    "cjs": "JavaScript", "clj": "Clojure", "cljs": "Clojure", "cmake": "CMake",
    "cmd": "Batchfile", "cob": "COBOL", "coffee": "CoffeeScript", "cpp": "C++",
    "cr": "Crystal", "cs": "C#", "csproj": "XML", "css": "CSS", "csv": "CSV",
    "cts": "TypeScript", "cu": "Cuda", "cxx": "C++", "d": "D", "dart": "Dart",
    "diff": "Diff", "dockerfile": "Dockerfile", "dot": "Graphviz (DOT)",
    "el": "Emacs Lisp", "elm": "Elm", "erb": "HTML+ERB", "erl": "Erlang",
    "ex": "Elixir", "exs": "Elixir", "f": "Fortran", "f90": "Fortran", "fish": "fish",
    "fs": "F#", "fsx": "F#", "geojson": "JSON", "gleam": "Gleam", "glsl": "GLSL",
    "go": "Go", "gql": "GraphQL", "gradle": "Gradle", "graphql": "GraphQL",
    "groovy": "Groovy", "gv": "Graphviz (DOT)", "h": "C", "haml": "Haml",
    "hbs": "Handlebars", "hcl": "HCL", "hh": "C++", "hpp": "C++", "hrl": "Erlang",
    "hs": "Haskell", "htm": "HTML", "html": "HTML", "hxx": "C++", "ini": "INI",
    "ipynb": "Jupyter Notebook", "j2": "Jinja", "java": "Java", "jinja": "Jinja",
    "jl": "Julia", "js": "JavaScript", "json": "JSON", "json5": "JSON5",
    "jsonc": "JSON with Comments", "jsonl": "JSON", "jsx": "JavaScript",
    "kt": "Kotlin", "kts": "Kotlin", "less": "Less", "lisp": "Common Lisp",
    "lua": "Lua", "m": "Objective-C", "markdown": "Markdown", "md": "Markdown",
    "mdx": "MDX", "mjs": "JavaScript", "mk": "Makefile", "ml": "OCaml",
    "mli": "OCaml", "mm": "Objective-C++", "mojo": "Mojo", "mts": "TypeScript",
    "mustache": "Mustache", "nim": "Nim", "nix": "Nix", "odin": "Odin", "org": "Org",
    "pas": "Pascal", "patch": "Diff", "php": "PHP", "pl": "Perl", "plist": "XML",
    "pm": "Perl", "po": "Gettext Catalog", "pot": "Gettext Catalog",
    "prisma": "Prisma", "pro": "Prolog", "properties": "Java Properties",
    "proto": "Protocol Buffer", "ps1": "PowerShell", "psm1": "PowerShell",
    "pug": "Pug", "purs": "PureScript", "py": "Python", "pyi": "Python",
    "pyw": "Python", "pyx": "Cython", "r": "R", "rake": "Ruby", "rb": "Ruby",
    "re": "Reason", "rkt": "Racket", "rmd": "RMarkdown", "rs": "Rust",
    "rst": "reStructuredText", "s": "Assembly", "sass": "Sass", "scala": "Scala",
    "scm": "Scheme", "scss": "SCSS", "sh": "Shell", "sol": "Solidity", "sql": "SQL",
    "styl": "Stylus", "sv": "SystemVerilog", "svelte": "Svelte", "svg": "SVG",
    "swift": "Swift", "tcl": "Tcl", "tex": "TeX", "tf": "HCL", "tfvars": "HCL",
    "thrift": "Thrift", "toml": "TOML", "ts": "TypeScript", "tsv": "TSV",
    "tsx": "TSX", "twig": "Twig", "txt": "Text", "v": "Verilog",
    "vb": "Visual Basic .NET", "vhd": "VHDL", "vhdl": "VHDL", "vim": "Vim Script",
    "vue": "Vue", "wat": "WebAssembly", "wgsl": "WGSL", "xhtml": "HTML", "xml": "XML",
    "xsd": "XML", "xsl": "XSLT", "xslt": "XSLT", "yaml": "YAML", "yml": "YAML",
    "zig": "Zig", "zsh": "Shell",
}  # fmt: skip

_NAMES = {
    ".bash_profile": "Shell", ".bashrc": "Shell", ".clang-format": "YAML",
    ".dockerignore": "Ignore List", ".editorconfig": "EditorConfig",
    ".gitattributes": "Git Attributes", ".gitconfig": "Git Config",
    ".gitignore": "Ignore List", ".gitmodules": "Git Config",
    ".npmignore": "Ignore List", ".profile": "Shell", ".vimrc": "Vim Script",
    ".zshrc": "Shell", "authors": "Text", "brewfile": "Ruby", "cargo.lock": "TOML",
    "changelog": "Text", "cmakelists.txt": "CMake", "codeowners": "CODEOWNERS",
    "containerfile": "Dockerfile", "copying": "Text", "dockerfile": "Dockerfile",
    "gemfile": "Ruby", "gemfile.lock": "Gemfile.lock", "gnumakefile": "Makefile",
    "go.mod": "Go Module", "go.sum": "Go Checksums", "jenkinsfile": "Groovy",
    "justfile": "Just", "license": "Text", "makefile": "Makefile",
    "meson.build": "Meson", "notice": "Text", "pipfile": "TOML",
    "pipfile.lock": "JSON", "poetry.lock": "TOML", "procfile": "Procfile",
    "rakefile": "Ruby", "readme": "Text", "requirements.txt": "Pip Requirements",
    "tiltfile": "Starlark", "todo": "Text", "tsconfig.json": "JSON with Comments",
    "uv.lock": "TOML", "vagrantfile": "Ruby", "yarn.lock": "YAML",
}  # fmt: skip


def language_of(path: str) -> str | None:
    """
    Name the language of a file as GitHub would, or `None` when its name does not tell.

    Upper and lower case are alike. `CMakeLists.txt` counts as a whole, otherwise the
    last suffix does, and `Dockerfile.dev` is a Dockerfile.

    Example:
        >>> language_of("src/app.py"), language_of("Dockerfile.dev"), language_of("x")
        ('Python', 'Dockerfile', None)
    """
    name = path.rpartition("/")[2].lower()
    stem, _, rest = name.partition(".")
    language = _NAMES.get(name) or _SUFFIXES.get(rest.rpartition(".")[2])
    if language is None and stem.endswith("file"):
        language = _NAMES.get(stem)
    return language
