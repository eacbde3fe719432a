// Package option describes the options of vic-machine once, for all who read them: the command line,
// the TOML file of --config, and the JSON of the service with its OpenAPI document.
package option

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is what an option's value is.
type Kind int

// The kinds.
const (
	Text   Kind = iota
	List        // of texts; may be repeated
	Number      // a whole one
	Toggle
	Duration
)

// Option is one option.
type Option struct {
	Name    string
	Aliases []string
	Group   string // heading in the help
	Kind    Kind
	Usage   string // the word in backquotes stands for the value
	Default string // as a user would write it; empty: none
	// DefaultText says what the default is if Default cannot.
	DefaultText string
	Env         []string // environment variables that give it too
	Secret      bool     // never recorded, never in a file
	Once        bool     // belongs to one run, not to the VCH: never recorded, never in a file
	// File says that the value is the name of a local file, Folder that of a folder. The service takes the
	// file's text, or an object with the folder's files.
	File, Folder bool
}

// Str is an option with a text.
func Str(group, name, alias, usage string) Option {
	return Option{Name: name, Aliases: aliases(alias), Group: group, Usage: usage}
}

// Many is an option that may be repeated.
func Many(group, name, alias, usage string) Option {
	return Option{Name: name, Aliases: aliases(alias), Group: group, Kind: List, Usage: usage + "; may be repeated"}
}

// Num is an option with a number; 0 is no default.
func Num(group, name, alias string, value int64, usage string) Option {
	o := Option{Name: name, Aliases: aliases(alias), Group: group, Kind: Number, Usage: usage}
	if value != 0 {
		o.Default = strconv.FormatInt(value, 10)
	}
	return o
}

// Flag is an option that is there or not.
func Flag(group, name, alias, usage string) Option {
	return Option{Name: name, Aliases: aliases(alias), Group: group, Kind: Toggle, Usage: usage}
}

// Span is an option with a time span.
func Span(group, name string, value time.Duration, usage string) Option {
	return Option{Name: name, Group: group, Kind: Duration, Default: value.String(), Usage: usage}
}

// aliases are further names, separated by commas: short ones, and those that VIC had.
func aliases(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// ForRun makes an option of one run.
func (o Option) ForRun() Option { o.Once = true; return o }

// AFile makes the value the name of a file.
func (o Option) AFile() Option { o.File = true; return o }

// AFolder makes the value the name of a folder.
func (o Option) AFolder() Option { o.Folder = true; return o }

// WithDefault gives a default.
func (o Option) WithDefault(value string) Option { o.Default = value; return o }

// WithDefaultText describes a default that depends on something.
func (o Option) WithDefaultText(text string) Option { o.DefaultText = text; return o }

// FromEnv names environment variables.
func (o Option) FromEnv(names ...string) Option { o.Env = names; return o }

// Hidden makes it a secret.
func (o Option) Hidden() Option { o.Secret = true; return o }

// Recorded says that a VCH's record, and a file of options, holds it.
func (o Option) Recorded() bool { return !o.Secret && !o.Once }

// Find returns the option of a name or of an alias.
func Find(all []Option, name string) (Option, bool) {
	i := slices.IndexFunc(all, func(o Option) bool { return o.Name == name || slices.Contains(o.Aliases, name) })
	if i < 0 {
		return Option{}, false
	}
	return all[i], true
}

// Pick returns the options of some names; one that is not there is left out.
func Pick(all []Option, names ...string) []Option {
	var out []Option
	for _, n := range names {
		if o, ok := Find(all, n); ok {
			out = append(out, o)
		}
	}
	return out
}

// Without returns all options but those of some names.
func Without(all []Option, names ...string) []Option {
	return slices.DeleteFunc(slices.Clone(all), func(o Option) bool { return slices.Contains(names, o.Name) })
}
