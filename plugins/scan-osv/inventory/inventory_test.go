package inventory

import "testing"

func TestLookupsAreOSVs(t *testing.T) {
	deb := Package{Kind: Deb, Name: "libssl3", Version: "3.0.11-1+b1", Source: "openssl", SourceVersion: "3.0.11-1"}
	rpm := Package{Kind: RPM, Name: "openssl-libs", Version: "1:3.0.7-24.el9", Source: "openssl", SourceVersion: "3.0.7-24.el9"}
	for name, c := range map[string]struct {
		p    Package
		d    Distro
		want Lookup
	}{
		"Debian":            {deb, Distro{ID: "debian", Version: "12"}, Lookup{"Debian:12", "openssl", "3.0.11-1"}},
		"Debian of a point": {deb, Distro{ID: "debian", Version: "9.13"}, Lookup{"Debian:9", "openssl", "3.0.11-1"}},
		"Ubuntu":            {deb, Distro{ID: "ubuntu", Version: "22.04"}, Lookup{"Ubuntu:22.04", "openssl", "3.0.11-1"}},
		"Alpine": {Package{Kind: APK, Name: "libcrypto3", Version: "3.1-r0", Source: "openssl"}, Distro{ID: "alpine", Version: "3.20.3"},
			Lookup{"Alpine:v3.20", "openssl", "3.1-r0"}},
		"Rocky":          {rpm, Distro{ID: "rocky", Version: "9.3"}, Lookup{"Rocky Linux:9", "openssl-libs", "1:3.0.7-24.el9"}},
		"Red Hat":        {rpm, Distro{ID: "rhel", Version: "9.3"}, Lookup{"Red Hat:enterprise_linux:9", "openssl-libs", "1:3.0.7-24.el9"}},
		"SUSE by source": {rpm, Distro{ID: "sles", Version: "15.5"}, Lookup{"SUSE:15.5", "openssl", "3.0.7-24.el9"}},
		"openEuler": {rpm, Distro{ID: "openEuler", Version: "24.03", Name: "openEuler 24.03 (LTS-SP1)"},
			Lookup{"openEuler:24.03-LTS-SP1", "openssl", "3.0.7-24.el9"}},
		"a distribution of none": {deb, Distro{ID: "photon", Version: "5.0"}, Lookup{"", "openssl", "3.0.11-1"}},
		"PyPI":                   {Package{Kind: PyPI, Name: "Flask_Login.x", Version: "1"}, Distro{}, Lookup{"PyPI", "flask-login-x", "1"}},
		"Maven":                  {Package{Kind: Maven, Name: "g:a", Version: "1"}, Distro{}, Lookup{"Maven", "g:a", "1"}},
	} {
		if got := c.p.Lookup(c.d); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestEcosystemsOfRecordsBecomeThoseOfLookups(t *testing.T) {
	for osv, want := range map[string]string{
		"npm": "npm", "Debian:12": "Debian:12", "Ubuntu:22.04:LTS": "Ubuntu:22.04", "Ubuntu:Pro:18.04:LTS": "Ubuntu:Pro:18.04",
		"Red Hat:enterprise_linux:9::appstream": "Red Hat:enterprise_linux:9", "SUSE:Linux Enterprise Module for Basesystem 15 SP5": "SUSE:15.5",
		"openSUSE:Leap 15.5": "openSUSE:Leap 15.5", "Rocky Linux:9": "Rocky Linux:9",
	} {
		if got := Ecosystem(osv); got != want {
			t.Errorf("%s: %q, want %q", osv, got, want)
		}
	}
}

func TestPURLs(t *testing.T) {
	for want, p := range map[string]Package{
		"pkg:rpm/rocky/openssl-libs@3.0.7?arch=x86_64&distro=rocky-9.3&epoch=1&upstream=openssl%403.0": {Kind: RPM, Name: "openssl-libs", Version: "1:3.0.7",
			Arch: "x86_64", Source: "openssl", SourceVersion: "3.0"},
		"pkg:golang/github.com/a/b@1.0.0":      {Kind: Go, Name: "github.com/a/b", Version: "1.0.0"},
		"pkg:maven/org.apache/log4j-core@2.14": {Kind: Maven, Name: "org.apache:log4j-core", Version: "2.14"},
	} {
		if got := p.PURL(Distro{ID: "rocky", Version: "9.3"}); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestChangedPackagesAreNamedAsSBOMsDo(t *testing.T) {
	for _, c := range []struct{ ecosystem, name, want string }{
		{"Debian:12", "openssl", "pkg:deb/debian/openssl"}, {"Alpine:v3.20", "openssl", "pkg:apk/alpine/openssl"}, {"npm", "@a/b", "pkg:npm/%40a/b"},
		{"Maven", "g:a", "pkg:maven/g/a"}, {"crates.io", "serde", "pkg:cargo/serde"}, {"Haiku", "a", ""},
	} {
		if got := Base(c.ecosystem, c.name); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.ecosystem, c.name, got, c.want)
		}
	}
}
