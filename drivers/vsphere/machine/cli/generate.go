package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/sdk/errdef"
)

// generateCommand makes what is shipped beside the program, from the flags themselves.
func (a *app) generateCommand() *cli.Command {
	makers := map[string]func(io.Writer, *cli.App) error{"man": manPage, "reference": reference, "openapi": document, "bash": fixed(bashScript),
		"zsh":  fixed(zshScript),
		"fish": fixed(fishScript), "powershell": fixed(powershellScript)}
	return &cli.Command{Name: "generate", Hidden: true, Usage: "print the man page, the reference, the OpenAPI document of serve, or a shell's completion script",
		ArgsUsage: strings.Join(sortedKeys(makers), "|"), Action: func(c *cli.Context) error {
			f, ok := makers[c.Args().First()]
			if !ok || c.Args().Len() != 1 {
				return advice.Wrap(fmt.Errorf("generate %s: %w", c.Args().First(), errdef.ErrInvalid), "give one of: %s", strings.Join(sortedKeys(makers), ", "))
			}
			return f(a.out, c.App)
		}}
}

func fixed(text string) func(io.Writer, *cli.App) error {
	return func(w io.Writer, _ *cli.App) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

// completions prints the words that may come next in a command: its own commands and its options.
func completions(c *cli.Context) {
	for _, sub := range c.Command.Subcommands {
		if !sub.Hidden && sub.Name != "help" {
			fmt.Fprintln(c.App.Writer, sub.Name)
		}
	}
	for _, f := range c.Command.Flags {
		fmt.Fprintln(c.App.Writer, "--"+f.Names()[0])
	}
}

// The scripts ask the program itself, so they know every option of the one that is installed.
const (
	bashScript = `# bash completion of vic-machine
_vic_machine() {
	local cur="${COMP_WORDS[COMP_CWORD]}"
	COMPREPLY=($(compgen -W "$("${COMP_WORDS[@]:0:COMP_CWORD}" --generate-bash-completion 2>/dev/null)" -- "$cur"))
}
complete -o bashdefault -o default -F _vic_machine vic-machine
`
	zshScript = `#compdef vic-machine
# zsh completion of vic-machine
local -a opts
opts=("${(@f)$(${words[1,CURRENT-1]} --generate-bash-completion 2>/dev/null)}")
if [[ -n "$opts" ]]; then
	compadd -a opts
fi
_files
`
	fishScript = `# fish completion of vic-machine
complete -c vic-machine -a '(eval (commandline -opc) --generate-bash-completion 2>/dev/null)'
`
	powershellScript = `# PowerShell completion of vic-machine
Register-ArgumentCompleter -Native -CommandName vic-machine -ScriptBlock {
	param($word, $ast, $cursor)
	$words = @($ast.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursor } | ForEach-Object { $_.ToString() })
	& $words[0] @($words | Select-Object -Skip 1) --generate-bash-completion 2>$null |
		Where-Object { $_ -like "$word*" } |
		ForEach-Object { [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_) }
}
`
)

// each calls f for every command that does something and is not hidden, with its full name.
func each(prefix string, all []*cli.Command, f func(name string, c *cli.Command)) {
	for _, c := range all {
		if c.Hidden || c.Name == "help" {
			continue
		}
		name := strings.TrimSpace(prefix + " " + c.Name)
		if len(c.Flags) > 0 || len(c.Subcommands) == 0 {
			f(name, c)
		}
		each(name, c.Subcommands, f)
	}
}

// docLine is a flag as documents show it.
type docLine struct{ names, value, text, group string }

func options(c *cli.Command) []docLine {
	var out []docLine
	for _, f := range c.Flags {
		d, ok := f.(cli.DocGenerationFlag)
		if !ok || f.Names()[0] == "help" || f.Names()[0] == "generate-bash-completion" {
			continue
		}
		o := docLine{text: d.GetUsage()}
		if g, ok := f.(cli.CategorizableFlag); ok {
			o.group = g.GetCategory()
		}
		var names []string
		for _, n := range f.Names() {
			dash := "--"
			if len(n) == 1 {
				dash = "-"
			}
			names = append(names, dash+n)
		}
		o.names = strings.Join(names, ", ")
		if before, rest, ok := strings.Cut(o.text, "`"); ok {
			word, after, _ := strings.Cut(rest, "`")
			o.text, o.value = before+word+after, word
		}
		if !d.TakesValue() {
			o.value = ""
		}
		if v := defaultOf(f); v != "" {
			o.text += " (default: " + v + ")"
		}
		out = append(out, o)
	}
	slices.SortStableFunc(out, func(a, b docLine) int { return strings.Compare(a.group, b.group) })
	return out
}

// defaultOf is a flag's default, unless it is nothing.
func defaultOf(f cli.Flag) string {
	switch f := f.(type) {
	case *cli.StringFlag:
		if f.DefaultText != "" {
			return f.DefaultText
		}
		return f.Value
	case *cli.Int64Flag:
		if f.Value != 0 {
			return fmt.Sprint(f.Value)
		}
	case *cli.IntFlag:
		if f.Value != 0 {
			return fmt.Sprint(f.Value)
		}
	case *cli.DurationFlag:
		return strings.TrimSuffix(f.Value.String(), "0s")
	}
	return ""
}

// reference is the list of all options, in Markdown.
func reference(w io.Writer, a *cli.App) error {
	var b strings.Builder
	b.WriteString("# Options of vic-machine\n\nMade from the program itself by `vic-machine generate reference`; do not edit.\n" +
		"[vic-machine.md](vic-machine.md) says what the commands do.\n")
	each("", a.Commands, func(name string, c *cli.Command) {
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n", name, capital(c.Usage))
		if c.Description != "" {
			fmt.Fprintf(&b, "\n%s\n", c.Description)
		}
		all := options(c)
		if len(all) > 0 {
			b.WriteString("\n| option | value | meaning |\n| --- | --- | --- |\n")
		}
		for _, o := range all {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", o.names, cell(o.value), cell(o.text))
		}
	})
	_, err := io.WriteString(w, b.String())
	return err
}

// cell makes text fit into a table of Markdown.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`).Replace(s)
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// manPage is vic-machine(8).
func manPage(w io.Writer, a *cli.App) error {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH VIC-MACHINE 8 \"\" \"%s\"\n.SH NAME\nvic-machine \\- %s\n.SH SYNOPSIS\n.B vic-machine\n.I command\n[options]\n",
		roff(a.Version), roff(a.Usage))
	fmt.Fprintf(&b, ".SH DESCRIPTION\nvic-machine %s\n.SH COMMANDS\n", roff(strings.ReplaceAll(a.Description, "\n\n", "\n.PP\n")))
	each("", a.Commands, func(name string, c *cli.Command) {
		fmt.Fprintf(&b, ".SS %s\n%s.\n", roff(name), roff(capital(c.Usage)))
		if c.Description != "" {
			fmt.Fprintf(&b, "%s\n", roff(c.Description))
		}
		for _, o := range options(c) {
			fmt.Fprintf(&b, ".TP\n\\fB%s\\fR", roff(o.names))
			if o.value != "" {
				fmt.Fprintf(&b, " \\fI%s\\fR", roff(o.value))
			}
			fmt.Fprintf(&b, "\n%s\n", roff(o.text))
		}
	})
	_, err := io.WriteString(w, b.String())
	return err
}

// roff protects what the formatter would take for its own.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "'") || (strings.HasPrefix(l, ".") && l != ".PP") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
