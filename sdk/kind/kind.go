// Package kind says what a kind of plugin is: data. Each folder of a kind (compute, storage, network,
// auth, ...) offers its own as a function Plugin, and all who deal with plugins - serve, the host, its
// configuration, its commands - know kinds through that alone.
//
// A plugin names what it offers with Of.Component and hands its drivers over with Of.Serve. So its
// program links the kinds that it serves and no other. A host lists the kinds that it knows and talks
// to a driver through Of.Client.
package kind

import (
	"fmt"
	"strings"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/errdef"
)

// Takes is how many plugins the role of a kind takes.
type Takes int

const (
	// One plugin plays the role: the host works with it and no other.
	One Takes = iota
	// List is an ordered list of plugins: the host asks the first one first.
	List
	// Beside is for what a plugin tells beside its roles: no role names it.
	Beside
)

// Info is what a host must know of a kind that it treats like any other.
type Info struct {
	// Name is the kind's name: in Describe, in the host's table [roles], in the commands.
	Name string
	// Doc says in half a sentence what a driver of this kind does.
	Doc string
	// Takes is how many plugins the role takes.
	Takes Takes
	// Capabilities is the vocabulary of what drivers of this kind may say of themselves.
	Capabilities []Capability
	// Suite is the import path, below the SDK, of the conformance suite.
	Suite string
	// Extensions are what the kind needs of the process that serves it.
	Extensions []Extension
}

// Capability is one word of a kind's vocabulary.
type Capability struct {
	// Word is what a driver says. One that ends in a colon begins many: "disk:" stands for
	// "disk:vmdk" and for any other disk.
	Word string
	Doc  string
	// Needs, if set, is the other side of the word: the driver in the role NeedsOf must say Needs with
	// the same ending, or the two do not fit together.
	NeedsOf, Needs string
}

// Extension is something that a kind's server needs of the process beside its service. Two kinds that
// need the same share it: the name tells.
type Extension struct {
	Name string
	// Options makes the options of the process's gRPC server; getenv reads the plugin's environment. An
	// error means that the plugin works without.
	Options func(getenv func(string) string) ([]grpc.ServerOption, error)
}

// Of is a kind whose drivers implement D.
type Of[D any] struct {
	Info
	// Register serves a driver. driver is asked with every call, so that it can answer an error until
	// there is one.
	Register func(r grpc.ServiceRegistrar, driver func() (D, error))
	// Client speaks to a driver at the other end of a connection.
	Client func(conn grpc.ClientConnInterface) D
}

// Component is one driver that a plugin offers, before there is one.
type Component struct {
	Kind, Name   string
	Capabilities []string
	Extensions   []Extension

	register func(r grpc.ServiceRegistrar, driver func() (any, error))
}

// Driver is one that serves.
type Driver struct {
	Kind  string
	value any
}

// Component names a driver that a plugin offers. Capabilities are words of the kind's vocabulary.
func (k Of[D]) Component(name string, capabilities ...string) Component {
	return Component{Kind: k.Name, Name: name, Capabilities: capabilities, Extensions: k.Extensions,
		register: func(r grpc.ServiceRegistrar, driver func() (any, error)) {
			k.Register(r, func() (D, error) {
				var d D
				v, err := driver()
				if err != nil {
					return d, err
				}
				d, ok := v.(D)
				if !ok {
					return d, fmt.Errorf("%s driver is %T: %w", k.Name, v, errdef.ErrInternal)
				}
				return d, nil
			})
		}}
}

// Serve hands a driver over to be served.
func (k Of[D]) Serve(d D) Driver { return Driver{Kind: k.Name, value: d} }

// Made tells whether there is a driver behind it.
func (d Driver) Made() bool { return d.value != nil }

// Register serves the component. driver is asked with every call.
func (c Component) Register(r grpc.ServiceRegistrar, driver func() (Driver, error)) {
	c.register(r, func() (any, error) {
		d, err := driver()
		return d.value, err
	})
}

// Known tells whether a word is in the vocabulary, and finds it.
func (i Info) Known(word string) (Capability, bool) {
	for _, c := range i.Capabilities {
		if word == c.Word || strings.HasSuffix(c.Word, ":") && strings.HasPrefix(word, c.Word) && len(word) > len(c.Word) {
			return c, true
		}
	}
	return Capability{}, false
}
