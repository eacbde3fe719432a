// Portal bundles the hub's portal, with esbuild as a library. It makes the types of the API from docs/hub-openapi.json, and
// with -out the site from core/portal/ui and the packages that npm has put there. contrib/dev/portal.sh runs it.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	ui := flag.String("ui", "core/portal/ui", "the folder with the sources of the portal")
	document := flag.String("openapi", "docs/hub-openapi.json", "the document of the hub's API")
	out := flag.String("out", "", "the folder that the site is written to; without it only the types are made")
	flag.Parse()
	if err := run(*ui, *document, *out); err != nil {
		fmt.Fprintln(os.Stderr, "portal:", err)
		os.Exit(1)
	}
}

func run(ui, document, out string) error {
	if out != "" {
		return bundle(ui, out)
	}
	text, err := types(document)
	if err != nil {
		return err
	}
	gen := filepath.Join(ui, "src", "gen")
	if err := os.MkdirAll(gen, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(gen, "api.ts"), text, 0o644)
}
