package cli

import (
	"os"
	"strings"
	"testing"
)

func TestTheReferenceIsThatOfTheFlags(t *testing.T) {
	const file = "../../../../docs/vic-machine-reference.md"
	want := run(t, "generate", "reference")
	have, err := os.ReadFile(file)
	if want.code != 0 || err != nil || string(have) != want.out {
		t.Errorf("%v; make it anew: go run ./bin/vic-machine generate reference > docs/vic-machine-reference.md", err)
	}
}

func TestTheDocumentIsThatOfTheService(t *testing.T) {
	const file = "../../../../docs/vic-machine-openapi.json"
	want := run(t, "generate", "openapi")
	have, err := os.ReadFile(file)
	if want.code != 0 || err != nil || string(have) != want.out {
		t.Errorf("%v; make it anew: make gen", err)
	}
}

func TestTheHandBookNamesEveryCommand(t *testing.T) {
	text, err := os.ReadFile("../../../../docs/vic-machine.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range strings.Split(run(t, "generate", "reference").out, "\n") {
		if name, ok := strings.CutPrefix(l, "## "); ok && !strings.Contains(string(text), "vic-machine "+name) {
			t.Errorf("docs/vic-machine.md does not mention vic-machine %s", name)
		}
	}
}

func TestManPageAndCompletion(t *testing.T) {
	r := run(t, "generate", "man")
	for _, want := range []string{".TH VIC-MACHINE 8", ".SS certificate renew", `\fB\-\-volume\-store, \-\-vs\fR \fIdatastore/path:label\fR`, "Exit codes"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("no %q in the man page", want)
		}
	}
	for args, want := range map[string]string{"": "certificate", "certificate": "renew", "create": "--volume-store", "certificate revoke": "--serial"} {
		r := run(t, append(strings.Fields(args), "--generate-bash-completion")...)
		if !strings.Contains(r.out, want+"\n") || strings.Contains(r.out, "generate") {
			t.Errorf("after %q: %+v", args, r)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if r := run(t, "generate", shell); r.code != 0 || !strings.Contains(r.out, "--generate-bash-completion") {
			t.Errorf("%s: %+v", shell, r)
		}
	}
	if r := run(t, "generate", "x"); r.code != exitUsage {
		t.Errorf("%+v", r)
	}
}
