package locale

import (
	"errors"
	"slices"
	"testing"
)

func TestWhichLanguageANameMeans(t *testing.T) {
	for name, want := range map[string]string{
		"en": "en", "EN": "en", "en-GB": "en", "en_US.UTF-8": "en", "zh-Hans": "zh-Hans", "zh": "zh-Hans", "zh-CN": "zh-Hans", "zh_CN.UTF-8": "zh-Hans",
		"zh_CN.GB18030@stroke": "zh-Hans", "zh-SG": "zh-Hans", "zh-hans-cn": "zh-Hans", "cmn": "zh-Hans",
		"zh-TW": "", "zh_HK.UTF-8": "", "zh-Hant": "", "de": "", "C": "", "C.UTF-8": "", "POSIX": "", "": "", "Chinese": "", "-": "", "zh zh": "",
	} {
		got, err := Parse(name)
		var unknown *UnknownError
		if got != want || (want == "") != errors.As(err, &unknown) {
			t.Errorf("%q: got %q, %v; want %q", name, got, err, want)
		}
	}
	if _, err := Parse("de"); err == nil || err.Error() != `language "de": there are en and zh-Hans` {
		t.Errorf("got %v", err)
	}
}

func TestTheEnvironmentsLanguage(t *testing.T) {
	for _, row := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"nothing is said", nil, "en"},
		{"the least says it alone", map[string]string{"LANG": "zh_CN.UTF-8"}, "zh-Hans"},
		{"messages go before the rest", map[string]string{"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, "en"},
		{"all goes before messages", map[string]string{"LC_ALL": "zh_CN.UTF-8", "LC_MESSAGES": "C"}, "zh-Hans"},
		{"no language at all goes before one", map[string]string{"LC_ALL": "C.UTF-8", "LANG": "zh_CN.UTF-8"}, "en"},
		{"one that nobody speaks here", map[string]string{"LANG": "fr_FR.UTF-8"}, "en"},
	} {
		if got := OfEnvironment(func(name string) string { return row.env[name] }); got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
}

func TestHowWideATextIs(t *testing.T) {
	for text, want := range map[string]int{"": 0, "SYN": 3, "抓包": 4, "SYN，ACK。": 10, "✗ 跳": 4, "…—“": 3} {
		if got := Width(text); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, row := range []struct {
		name, text string
		columns    int
		want       []string
	}{
		{"at spaces", " one two  three\nfour ", 9, []string{"one two", "three", "four"}},
		{"a word that is too long", "a toolongaword b", 6, []string{"a", "toolongaword", "b"}},
		{"between wide letters, of two columns each", "防火墙丢弃报文", 6, []string{"防火墙", "丢弃报", "文"}},
		{"no line begins with a comma", "防火墙，丢弃", 6, []string{"防火", "墙，丢", "弃"}},
		{"no line ends with a bracket", "防火（墙）", 6, []string{"防火", "（墙）"}},
		{"a Latin word stays whole", "发 SYN-ACK 去", 10, []string{"发 SYN-ACK", "去"}},
		{"nothing", "  ", 10, nil},
	} {
		if got := Wrap(row.text, row.columns); !slices.Equal(got, row.want) {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

func TestUnfold(t *testing.T) {
	for text, want := range map[string]string{
		"防火墙 丢弃": "防火墙丢弃", "墙， 丢": "墙，丢", "发 SYN 去": "发 SYN 去", "the SYN": "the SYN", "尾 ": "尾 ",
	} {
		if got := Unfold(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
