"""Adds the API pages to the site: what each package exports, from its docstrings.

`mkdocs.yml` names this file as a hook. The pages are made at the build because GitHub, where the
others are read too, would show their directives instead of docstrings.
"""

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

# By package, the modules whose functions and classes users call.
MODULES = {
    "schedules": ["schedules", "schedules.callback"],
    "envs": ["envs", "envs.randomisation", "envs.picture"],
    "agents": ["agents", "agents.learners", "agents.training.forks"],
    "eval": [
        "eval",
        "eval.crossed",
        "eval.significance",
        "eval.verdicts",
        "eval.noise_floor",
        "eval.profiles",
        "eval.rate_sensitivity",
    ],
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page for each package.

    Args:
        files: The pages of `docs/`.
        config: The config of the site.
    """
    for package, modules in MODULES.items():
        lines = [f"# {package}", *(f"::: {module}" for module in modules)]
        page = File.generated(config, f"api/{package}.md", content="\n\n".join(lines))
        files.append(page)
    return files
