package cli

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/machine/advice"
	"github.com/openvic/vic/sdk/errdef"
)

// Options that a file of options does not hold: they belong to one run, or are secret.
func neverInFile() []string {
	return []string{"config", "password", "ops-password", "help", "dry-run", "output", "force", "timeout", "no-reach-check"}
}

// applyFile gives those options their values from --config that the command line does not give. An
// option that the command does not have is an error: it would be ignored.
func applyFile(c *cli.Context) error {
	file := c.String("config")
	if file == "" {
		return nil
	}
	var values map[string]any
	if _, err := toml.DecodeFile(file, &values); err != nil {
		return advice.Wrap(fmt.Errorf("--config %s: %w: %w", file, errdef.ErrInvalid, err), "give a TOML file with options, such as inspect config prints")
	}
	names := make([]string, 0, len(values))
	for n := range values {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, name := range names {
		if err := applyValue(c, name, values[name]); err != nil {
			return advice.Wrap(fmt.Errorf("--config %s: %w", file, err), "see --help for the options and their values")
		}
	}
	return nil
}

func applyValue(c *cli.Context, name string, value any) error {
	f := flagNamed(c.Command.Flags, name)
	if f == nil || slices.Contains(neverInFile(), name) {
		return fmt.Errorf("%s: %w: it is no option that a file may hold", name, errdef.ErrInvalid)
	}
	if c.IsSet(name) {
		return nil
	}
	list, isList := value.([]any)
	if !isList {
		list = []any{value}
	}
	if _, repeats := f.(*cli.StringSliceFlag); isList && !repeats {
		return fmt.Errorf("%s: %w: it has one value, not a list", name, errdef.ErrInvalid)
	}
	for _, v := range list {
		switch v.(type) {
		case string, int64, bool:
		default:
			return fmt.Errorf("%s: %w: %v is neither a text, a number nor true or false", name, errdef.ErrInvalid, v)
		}
		if err := c.Set(name, fmt.Sprint(v)); err != nil {
			return fmt.Errorf("%s: %w: %w", name, errdef.ErrInvalid, err)
		}
	}
	return nil
}

func flagNamed(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		if f.Names()[0] == name {
			return f
		}
	}
	return nil
}

// given are the options that have a value other than their default, for the record and inspect
// config. Options of the target stay out: which vSphere a VCH is on is not the VCH's.
func given(c *cli.Context) map[string][]string {
	out := map[string][]string{}
	target := targetFlags()
	for _, f := range c.Command.Flags {
		name := f.Names()[0]
		if !c.IsSet(name) || slices.Contains(neverInFile(), name) || flagNamed(target, name) != nil {
			continue
		}
		switch f.(type) {
		case *cli.StringSliceFlag:
			out[name] = c.StringSlice(name)
		default:
			out[name] = []string{fmt.Sprint(c.Value(name))}
		}
	}
	return out
}

// optionsTOML prints options as a file for --config.
func optionsTOML(options map[string][]string) (string, error) {
	var b strings.Builder
	for _, name := range sortedKeys(options) {
		value, err := tomlValue(name, options[name])
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s = %s\n", name, value)
	}
	return b.String(), nil
}

func tomlValue(name string, values []string) (string, error) {
	f := flagNamed(createFlags(), name)
	_, repeats := f.(*cli.StringSliceFlag)
	plain := false // numbers and truth values have no quotes
	switch f.(type) {
	case *cli.IntFlag, *cli.Int64Flag, *cli.BoolFlag:
		plain = true
	}
	quoted := make([]string, len(values))
	for i, v := range values {
		if quoted[i] = v; plain {
			continue
		}
		b, err := toml.Marshal(map[string]string{"v": v})
		if err != nil {
			return "", fmt.Errorf("option %s: %w", name, err)
		}
		quoted[i] = strings.TrimSpace(strings.TrimPrefix(string(b), "v = "))
	}
	if repeats {
		return "[" + strings.Join(quoted, ", ") + "]", nil
	}
	return strings.Join(quoted, ""), nil
}

// optionsLine prints options as a command line has them, quoted for a shell.
func optionsLine(options map[string][]string) string {
	var words []string
	for _, name := range sortedKeys(options) {
		for _, v := range options[name] {
			if flag, ok := flagNamed(createFlags(), name).(*cli.BoolFlag); ok && flag != nil {
				if v == "true" {
					words = append(words, "--"+name)
				}
				continue
			}
			words = append(words, "--"+name+"="+shellQuote(v))
		}
	}
	return strings.Join(words, " ")
}

func shellQuote(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+,="
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
