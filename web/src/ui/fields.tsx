// The controls of a request.
import { useState } from 'preact/hooks';

import { methods, type Sampling } from '../api/request';
import { randomSeed, sampling, setSampling } from '../views/form';
import { Icon } from './icons';

interface NumberProps {
  label: string;
  name: keyof Sampling;
  min: number;
  max: number;
  step: number | 'any';
  hint?: string;
}

// Takes what is typed while it is a number in the limits; leaving the field restores the last one.
function NumberField({ label, name, min, max, step, hint }: NumberProps) {
  const value = sampling.value[name];
  const [typed, setTyped] = useState<string | null>(null);
  const isWhole = step === 1;
  const read = (text: string): number | null => {
    const n = Number(text);
    if (text.trim() === '' || !Number.isFinite(n) || n < min || n > max) return null;
    return isWhole && !Number.isInteger(n) ? null : n;
  };
  return (
    <label class="field" title={hint}>
      <span>{label}</span>
      <input
        type="number"
        inputMode={isWhole ? 'numeric' : 'decimal'}
        min={min}
        max={max}
        step={step}
        value={typed ?? String(value)}
        aria-invalid={typed !== null && read(typed) === null}
        onInput={(e) => {
          setTyped(e.currentTarget.value);
          const n = read(e.currentTarget.value);
          if (n !== null) setSampling({ [name]: n });
        }}
        onBlur={() => setTyped(null)}
      />
    </label>
  );
}

export function SeedField() {
  return (
    <div class="seed">
      <NumberField label="Seed" name="seed" min={0} max={Number.MAX_SAFE_INTEGER} step={1} />
      <button
        type="button"
        class="icon-only"
        aria-label="Another seed"
        title="Another seed"
        onClick={() => setSampling({ seed: randomSeed() })}
      >
        <Icon name="dice" />
      </button>
    </div>
  );
}

export function LengthField() {
  return <NumberField label="Tokens" name="max_tokens" min={1} max={100000} step={1} />;
}

export function SamplingFields() {
  return (
    <div class="fields">
      <NumberField
        label="Temperature"
        name="temperature"
        min={0}
        max={100}
        step="any"
        hint="1: the model's own distribution; 0: always the likeliest token"
      />
      <NumberField label="Top-p" name="top_p" min={0} max={1} step="any" hint="1: off" />
      <NumberField label="Top-k" name="top_k" min={0} max={1000000} step={1} hint="0: off" />
      <NumberField label="Min-p" name="min_p" min={0} max={1} step="any" hint="0: off" />
    </div>
  );
}

interface MethodProps {
  value: string;
  label?: string;
  onChange: (method: string) => void;
}

// One of the usual methods, or any that is typed.
export function MethodField({ value, label = 'Method', onChange }: MethodProps) {
  const isKnown = methods.some((m) => m.name === value);
  const [isTyping, setTyping] = useState(!isKnown);
  return (
    <div class="method">
      <label class="field">
        <span>{label}</span>
        <select
          value={isTyping ? '' : value}
          onChange={(e) => {
            setTyping(e.currentTarget.value === '');
            if (e.currentTarget.value !== '') onChange(e.currentTarget.value);
          }}
        >
          {methods.map((m) => (
            <option key={m.name} value={m.name}>
              {m.name} ({m.about})
            </option>
          ))}
          <option value="">another …</option>
        </select>
      </label>
      {isTyping && (
        <label class="field">
          <span>{label}: name and shape</span>
          <input
            type="text"
            value={value}
            spellcheck={false}
            onInput={(e) => onChange(e.currentTarget.value.trim())}
          />
        </label>
      )}
    </div>
  );
}
