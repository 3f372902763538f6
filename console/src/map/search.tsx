// Find a thing by its name or key.
import { useDeferredValue, useState } from "react";
import { ComboBox, Input, ListBox, ListBoxItem, Popover } from "react-aria-components";

import { query, useAsk, type Found } from "../api";
import { useWords } from "../language";
import { Icon } from "../parts/icons";

export function Search({ found }: { found: (one: Found) => void }) {
  const { t, named } = useWords();
  const [words, setWords] = useState("");
  const wanted = useDeferredValue(words);
  const things = useAsk<{ things: Found[] }>(wanted.length > 1 ? query("/api/things", { search: wanted, limit: 12 }) : null);
  const items = wanted.length > 1 ? (things.data?.things ?? []) : [];
  return (
    <ComboBox
      className="search"
      aria-label={t("map.search")}
      inputValue={words}
      onInputChange={setWords}
      items={items}
      allowsEmptyCollection // what is found comes after the typing that opens the list
      menuTrigger="input"
      onSelectionChange={(key) => {
        const one = items.find((item) => item.id === key);
        if (!one) return;
        setWords(one.name);
        found(one);
      }}
    >
      <div className="search-field">
        <Icon name="search" size={18} />
        <Input placeholder={t("map.search")} maxLength={100} />
      </div>
      <Popover className="popover" offset={6}>
        <ListBox className="options" renderEmptyState={() => <p className="quiet">{t("things.none")}</p>}>
          {(one: Found) => (
            <ListBoxItem id={one.id} textValue={one.name}>
              <b>{one.name || one.key}</b> <small>{named("kind", one.kind)}</small>
            </ListBoxItem>
          )}
        </ListBox>
      </Popover>
    </ComboBox>
  );
}
