package serve

import (
	"context"
	"strings"
	"testing"

	"github.com/hopblame/hopblame/internal/locale"
)

func TestPagesAreInTheLanguageThatIsAskedFor(t *testing.T) {
	played := ""
	s := idle(t, func(ctx context.Context, j *job) error {
		played = j.language
		return pretend(ctx, j)
	})
	chinese, err := newPages(locale.Chinese)
	if err != nil {
		t.Fatal(err)
	}
	s.pages = chinese
	at := submit(t, s, "/runs", aForm(20))
	s.playNext(t.Context())
	if played != locale.Chinese {
		t.Errorf("the run's report is in %q", played)
	}
	for path, title := range map[string]string{"/": "弄坏一个网络，再找出故障节点", "/scenarios/firewall-drops-syn": "防火墙每 150 条连接吞掉一条", at: "防火墙每 150 条连接吞掉一条"} {
		_, body := get(t, s, path)
		for _, want := range []string{`<html lang="zh-Hans">`, title} {
			if !strings.Contains(body, want) {
				t.Errorf("%s lacks %s:\n%s", path, want, body)
			}
		}
		if strings.Contains(body, `lang="en"`) {
			t.Errorf("%s has what nobody has translated", path)
		}
	}
	own := *s.catalogue[0]
	own.Title = "Somebody's own"
	if got := chinese.texts(&own); !got.Foreign || got.Title != own.Title {
		t.Errorf("what nobody has translated is %+v", got)
	}
}
